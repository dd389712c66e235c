"""The journal on disk (the outbox), and its delivery to the store: in bulk to a database, by requests to a server.

Input: rows and records that wait on disk. Output: runs in the store, each once.
May be imported by `run`.
"""
