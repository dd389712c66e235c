"""The report of a sweep.

Input: a `Comparison`, and the histories of the runs whose curves are drawn. Output: an HTML page that opens offline,
Markdown, CSV, JSON, text for a terminal and a table for a notebook. Figures are mappings in the format of Plotly's
JavaScript library; Plotly's Python package is not imported. This package may import `compare` and `objective`, but
nothing that plans, launches or records.
"""

from __future__ import annotations

from kexp.sweeps.report.data import rows_csv, rows_json, trials_csv
from kexp.sweeps.report.markdown import markdown_report
from kexp.sweeps.report.notebook import ShownComparison, table_html
from kexp.sweeps.report.page import report_page
from kexp.sweeps.report.text import ranked_lines, screen_width, text_table
from kexp.sweeps.report.write import write_report

__all__ = [
    "ShownComparison",
    "markdown_report",
    "ranked_lines",
    "report_page",
    "rows_csv",
    "rows_json",
    "screen_width",
    "table_html",
    "text_table",
    "trials_csv",
    "write_report",
]
