"""A run in progress: its rows are on disk at once, and in the store a second later.

Input: what an experiment logs. Output: the run in the store, even if the process is killed.
May import every other room of tracking. Imported by none of them.
"""
