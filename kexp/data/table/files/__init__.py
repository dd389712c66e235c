"""Files of a table: found, downloaded, decompressed, and the layout of CSV detected.

In: paths, patterns, addresses. Out: plain files that DuckDB reads.
"""
