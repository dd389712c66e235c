"""Tables: read by DuckDB into columns on disk, and encoded as numbers with an encoding learned from the training rows.

`reading` converts files to columns, `stored` stores columns with random access to rows, `targets` extracts the targets,
`columns` chooses the encoding of each feature column, `encoding` applies it, and `summary` describes it.
"""
