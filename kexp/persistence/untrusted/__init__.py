"""Model files of unknown origin: their architecture checked, read in a process of their own.

In: a file. Out: a model, or the reason why not.
"""
