"""Launchers: run a sweep's trials in this process, in worker processes, or as lanes of compiled programs.

Input: tasks, which are plain data and can be pickled. Output: events for each epoch, and an outcome for each task.
Hydra creates launchers, so no lower package imports one. This package may import `record`, `sweep_command` and what
those import.
"""
