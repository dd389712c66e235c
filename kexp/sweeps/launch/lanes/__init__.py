"""Lanes: trials as parts of one compiled program, in an engine's process.

In: tasks of equal structure. Out: their outcomes.
Imports the worker's rooms; imported by the launchers.
"""
