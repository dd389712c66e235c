"""Write the files of the report atomically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.compare.results import Histories, History
from kexp.sweeps.objective import Objective
from kexp.sweeps.report.curves import run_ids
from kexp.sweeps.report.data import trials_csv
from kexp.sweeps.report.markdown import markdown_report
from kexp.sweeps.report.page import html_page

__all__ = ["report_page", "write_report"]


def write_report(
    folder: Path,
    comparison: Comparison,
    histories: Histories | Mapping[str, History] | None = None,
    *,
    objectives: Sequence[Objective] = (),
) -> Path:
    """Write `report.html`, `report.md` and `trials.csv`; existing files are replaced.

    Args:
        folder: the folder; created if missing.
        comparison: the comparison to report.
        histories: for the learning curves: run id -> metric -> (epoch, value) points, or a function that returns this
            for the runs that are drawn. None leaves the curves out.
        objectives: all objectives of a search that has several.

    Returns:
        The path of `report.html`.
    """
    from kexp.persistence.atomic import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    write_atomically(page, report_page(comparison, histories, objectives=objectives).encode())
    write_atomically(folder / "report.md", markdown_report(comparison).encode())
    write_atomically(folder / "trials.csv", trials_csv(comparison).encode())
    return page


def report_page(
    comparison: Comparison,
    histories: Histories | Mapping[str, History] | None = None,
    *,
    objectives: Sequence[Objective] = (),
) -> str:
    """Return the HTML page as text; see `write_report`."""
    wanted = run_ids(comparison.rows)
    if histories is None:
        found: Mapping[str, History] = {}
    elif isinstance(histories, Mapping):
        found = histories
    else:
        found = histories(wanted)
    return html_page(comparison, found, objectives)
