"""A run in progress: on disk at once, in the store a second later.

In: what an experiment logs. Out: the run in the store, whatever ends the process.
The top room of tracking.
"""
