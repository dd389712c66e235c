"""Searches: an Optuna study chooses the trials of a sweep while it runs.

Input: a search space, a sampler and a pruner. Output: trials, and the study with their results.
`population` may import the space. Imports the sweep's execution; Optuna is imported only when a search runs.
"""

from __future__ import annotations

from kexp.sweeps.search.sweeper import OptunaSweeper

__all__ = ["OptunaSweeper"]
