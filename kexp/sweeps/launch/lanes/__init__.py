"""Lanes: runs trials as lanes of compiled programs, in a process of its own (the engine).

Input: tasks for the engine. Output: the outcome of each task, or the reason why it cannot be a lane. The launchers
import this package. It imports `trial_run` and the worker processes' modules beside it, and `kexp.fused`.
"""
