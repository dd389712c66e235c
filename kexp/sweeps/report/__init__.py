"""The report of a sweep: one page that opens offline, Markdown, CSV, JSON, and text for a terminal."""

from __future__ import annotations

from kexp.sweeps.report.data import rows_csv, rows_json, write_trials_csv
from kexp.sweeps.report.markdown import markdown_report
from kexp.sweeps.report.page import html_page
from kexp.sweeps.report.text import ranked_lines, screen_width, text_table
from kexp.sweeps.report.write import report_page, write_report

__all__ = [
    "html_page",
    "markdown_report",
    "ranked_lines",
    "report_page",
    "rows_csv",
    "rows_json",
    "screen_width",
    "text_table",
    "write_report",
    "write_trials_csv",
]
