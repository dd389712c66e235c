"""Searches: an Optuna study chooses the trials of a sweep while it runs."""

from __future__ import annotations

from kexp.sweeps.search.sweeper import OptunaSweeper

__all__ = ["OptunaSweeper"]
