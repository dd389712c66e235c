"""`kexp describe data=...`: shows the data as a run would see it, without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.commands.support.options import Parser
from kexp.system.wording import counted

if TYPE_CHECKING:
    from kexp.data import Splits

__all__ = ["main"]

MOST_CLASSES = 20


def main(arguments: Sequence[str]) -> int:
    """Prints the columns, targets and splits of the data that overrides choose. Does not import Keras."""
    parser = Parser(prog="kexp describe", description="Show the data as a run would see it, without training.")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for a run: data=csv data.path=new.csv")
    args = parser.parse_args(arguments)
    from kexp.config import compose_typed, plain
    from kexp.experiment import load_data, split_data
    from kexp.schema import check

    experiment = check(plain(compose_typed(args.overrides)))
    node = experiment.data
    splits = split_data(experiment, load_data(node))
    for label, text in _lines(node.name, splits):
        print(f"{label:<8} {text}".rstrip())
    return 0


def _lines(name: str, splits: Splits) -> list[tuple[str, str]]:
    spec, data = splits.spec, splits.data
    shape = " x ".join(map(str, spec.feature_shape))
    lines = [("data", f"{name}, {len(data)} rows of {shape} features")]
    if splits.summary:
        lines.append(("table", splits.summary))
    lines += [("", row) for row in _table(splits)]
    lines += _targets(splits)
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    lines.append(("parts", ", ".join(f"{part} {len(rows)}" for part, rows in parts.items() if rows is not None)))
    lines.append(("digest", data.digest))
    return lines


def _table(splits: Splits) -> list[str]:
    if "columns" not in splits.encoding:
        return []
    from kexp.data.table.encoding.described import columns_of

    source: Any = splits.data.source
    rows = columns_of(source, splits.encoding)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _targets(splits: Splits) -> list[tuple[str, str]]:
    """Returns labelled lines on the targets, by task: counts of classes or labels, or the range; and on the weights."""
    import numpy as np

    spec, y = splits.spec, splits.data.targets
    at = f" at each of {' x '.join(map(str, spec.positions))}" if spec.positions else ""
    names = splits.encoding.get("target") or list(spec.target_names or ())
    named = f"{', '.join(names)}: " if names else ""
    if spec.task == "classification":
        counts = np.bincount(y.ravel(), minlength=spec.outputs)
        classes = [f"{label} {count}" for label, count in zip(spec.classes or (), counts, strict=True)]
        more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
        lines = [("targets", f"{named}{spec.outputs} classes{at}: {', '.join(classes[:MOST_CLASSES])}{more}")]
    elif spec.task == "labels":
        shares = ", ".join(
            f"{label} {int(y[:, place].sum())}" for place, label in enumerate(spec.target_names or range(spec.outputs))
        )
        lines = [("targets", f"{spec.outputs} labels per row, rows with each: {shares}")]
    else:
        columns = counted(spec.outputs, "column")
        lines = [("targets", f"{named}regression of {columns}{at}, {y.min():g} to {y.max():g}")]
    weights = splits.data.weights
    if weights is not None:
        lines.append(("weights", f"{weights.min():g} to {weights.max():g}, {weights.mean():g} on average"))
    return lines
