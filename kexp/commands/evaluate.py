"""`kexp evaluate RUN [data=... OVERRIDES]`: evaluates a run's saved model again, on its own or on other rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from kexp.commands.support.options import find_run_argument, hide_warnings, model_parser
from kexp.errors import ConfigError
from kexp.system.wording import counted

__all__ = ["main"]

_OVERRIDABLE = ("data", "loss", "metrics", "trainer")
_PARTS = ("test", "validation", "train", "all")


def main(arguments: Sequence[str]) -> int:
    """Prints the metrics of a run's model on the run's test rows or on other data; returns the exit code."""
    parser = model_parser("evaluate", "Measure a run's saved model on its own test rows, or on other data.")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="other data, as for a run: data=csv data.path=new.csv"
    )
    parser.add_argument(
        "--part", choices=_PARTS, help="the split; by default test of the run's own data, all of other data"
    )
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON and nothing else")
    args = parser.parse_intermixed_args(arguments)
    for each in args.overrides:
        if "=" not in each:
            raise ConfigError(f"{each!r} is not an override; write KEY=VALUE")
    hide_warnings()
    from kexp import stored
    from kexp.stored import evaluation

    run = find_run_argument(args)
    original = stored.load_experiment(run)
    experiment = stored.load_experiment(run, args.overrides, allowed=_OVERRIDABLE) if args.overrides else original
    stored.use_backend(original.backend)
    run_data = stored.describe(run, original)
    model = stored.open_model(run, experiment, run_data, args.format)
    own = not any(_chooses_data(each) for each in args.overrides)
    if own:
        rows = evaluation.own_rows(experiment, args.part or "test")
    else:
        rows = evaluation.other_rows(experiment, run_data, args.part or "all")
    metrics = evaluation.evaluate(model, experiment, rows)
    if args.json:
        print(json.dumps(metrics))
        return 0
    print(f"run       {run.view.name}  {run.view.run_id}")
    print(f"data      {rows.description}, {counted(len(rows.part), 'row')}")
    for note in rows.notes:
        print(f"note      {note}")
    width = max(len(name) for name in metrics)
    recorded = _test_metrics(run.view.metrics) if own and not args.overrides and (args.part or "test") == "test" else {}
    for name, value in metrics.items():
        print(f"{name:<{max(width, 8)}}  {value:.6g}{_against(value, recorded.get(name))}")
    return 0


def _chooses_data(override: str) -> bool:
    """Returns whether an override chooses or changes the data. If one does, all rows of the data are evaluated."""
    key = override.partition("=")[0].lstrip("+~")
    return key == "data" or (key.startswith("data.") and key != "data.feed")


def _test_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("test_"): value for name, value in metrics.items() if name.startswith("test_")}


def _against(value: float, recorded: float | None) -> str:
    """Compares a metric with the one that the run recorded, for the end of its line."""
    if recorded is None or (math.isnan(value) and math.isnan(recorded)):
        return ""
    return "  (as recorded)" if value == recorded else f"  (recorded: {recorded:.6g}, off by {value - recorded:.2g})"
