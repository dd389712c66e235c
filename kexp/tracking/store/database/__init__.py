"""MLflow's tables in a database: created, migrated, and read or written without MLflow's client.

In: a tracking URI, or the file of a SQLite store. Out: rows of runs and experiments.
May be imported by every room of tracking that reads or writes runs.
"""
