"""Writes the files of the report atomically."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.compare.results import Histories
from kexp.sweeps.objective import Objective
from kexp.sweeps.report.data import trials_csv
from kexp.sweeps.report.markdown import markdown_report
from kexp.sweeps.report.page import report_page

__all__ = ["write_report"]


def write_report(
    folder: Path, comparison: Comparison, histories: Histories, objectives: Sequence[Objective] = ()
) -> Path:
    """Writes `report.html`, `report.md` and `trials.csv`; existing files are replaced.

    Args:
        folder: the folder; created if missing.
        comparison: the comparison to report.
        histories: reads the histories of the runs whose curves are drawn.
        objectives: all objectives of a search that has several.

    Returns:
        The path of `report.html`.
    """
    from kexp.persistence.atomic import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    write_atomically(page, report_page(comparison, histories, objectives).encode())
    write_atomically(folder / "report.md", markdown_report(comparison).encode())
    write_atomically(folder / "trials.csv", trials_csv(comparison).encode())
    return page
