"""The kind of each column: number, boolean, date, text; and how its values are parsed.

In: a column in DuckDB. Out: SQL that makes numbers, dates and codes of it.
"""
