"""Runs in the store, read: found, listed, with their histories, and those that were left RUNNING.

Input: the store's settings and what to look for. Output: `RunView`s and `Point`s.
May be imported by delivery and run.
"""
