"""Recording: the runs of a sweep's trials in the store, and the models to keep.

Input: the records of trials that are over. Output: runs in the store, each exactly once, and the tasks that save
models. This package may import `trials` and `objective`, but nothing that plans, launches or compares.
"""
