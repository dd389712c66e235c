"""MLflow's tables in a database: created, migrated, and read or written without MLflow's client.

Input: a tracking URI, or the file of a SQLite store. Output: rows of runs and experiments.
May be imported by every room of tracking that reads or writes runs.
"""
