"""Tables: read by DuckDB into columns on disk, encoded as numbers by what the training rows teach.

`reading` makes columns of files, `stored` keeps them where any row is read at once, `targets` takes the targets from
them, `columns` decides what becomes of each feature column, `encoding` applies that, `summary` describes it.
"""
