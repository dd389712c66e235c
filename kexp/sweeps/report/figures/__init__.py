"""The figures of a report, in the format of Plotly's JavaScript library.

Input: a `Comparison`, and the histories of runs. Output: mappings with `data` and `layout`.
May be imported by the report's page. Imports nothing else of the report.
"""
