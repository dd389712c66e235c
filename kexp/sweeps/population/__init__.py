"""Staged sweeps: after each stage of training, the worst trials end (ASHA) or continue from the best (PBT)."""

from __future__ import annotations

from kexp.sweeps.population.asha import AshaSweeper
from kexp.sweeps.population.pbt import PbtSweeper

__all__ = ["AshaSweeper", "PbtSweeper"]
