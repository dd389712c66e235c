"""`kexp compare [SWEEP ...]`: ranks the choices of sweeps and tests whether their differences are real."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.commands.support.options import Parser, add_experiment, store_parser
from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.sweeps.compare.comparison import Comparison
    from kexp.tracking import StoreSettings

__all__ = ["main"]

_FORMATS = ("table", "csv", "json", "html")


def main(arguments: Sequence[str]) -> int:
    """Prints the comparison or writes it to a file; returns the exit code."""
    args = _parser().parse_intermixed_args(arguments)
    if args.limit < 0:
        raise ConfigError(f"--limit: must be 0 for all rows or a number of rows, got {args.limit}")
    from kexp.sweeps.compare_sweeps import compare
    from kexp.tracking import chosen_store

    comparison = compare(
        *args.sweep,
        params=_names(args.params),
        metrics=_names(args.metrics),
        where=args.where,
        objective=args.objective,
        direction=args.direction,
        uri=args.tracking_uri,
        experiment=args.experiment,
    )
    settings = chosen_store(args.tracking_uri, args.experiment)
    text = _formatted(comparison, args.format, args.limit or None, settings, to_file=args.output is not None)
    if args.output is None:
        sys.stdout.write(text)
    else:
        _write(args.output, text)
    return 0


def _parser() -> Parser:
    parser = store_parser("compare", "Rank the choices of sweeps over their seeds, and test each against the best.")
    parser.add_argument(
        "sweep", nargs="*", metavar="SWEEP", help="run id, unique prefix, name, or latest, which is the default"
    )
    parser.add_argument("--params", metavar="P,P", help="parameters to show; those that differ by default")
    parser.add_argument("--metrics", metavar="M,M", help="further metrics to show")
    parser.add_argument(
        "--where", metavar="EXPR", help='only these trials: "optimizer=adam and optimizer.learning_rate<0.01"'
    )
    parser.add_argument("--objective", metavar="M", help="metric to rank by; the sweep's own, or val_loss, by default")
    parser.add_argument("--direction", choices=("minimize", "maximize"), help="by default from the metric's name")
    parser.add_argument("--format", choices=_FORMATS, default="table")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write to this file instead of printing")
    parser.add_argument("--limit", metavar="N", type=int, default=40, help="rows of the table; 0 for all; default 40")
    add_experiment(parser)
    return parser


def _formatted(comparison: Comparison, kind: str, limit: int | None, settings: StoreSettings, to_file: bool) -> str:
    from kexp.sweeps import report
    from kexp.sweeps.compare.results import histories_of

    if kind == "csv":
        return report.rows_csv(comparison)
    if kind == "json":
        return report.rows_json(comparison)
    if kind == "html":
        return report.report_page(comparison, histories_of(settings, comparison.folder))
    return report.text_table(comparison, width=100 if to_file else report.screen_width(), limit=limit)


def _write(file: Path, text: str) -> None:
    from kexp.persistence.atomic import write_atomically

    try:
        write_atomically(file, text.encode())
    except OSError as error:
        raise ConfigError(f"--output: {file} cannot be written: {error.strerror or error}") from None


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
