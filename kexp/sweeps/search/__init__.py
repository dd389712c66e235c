"""Searches: a study of Optuna's decides on a sweep's trials while it runs."""

from __future__ import annotations

from kexp.sweeps.search.sweeper import OptunaSweeper

__all__ = ["OptunaSweeper"]
