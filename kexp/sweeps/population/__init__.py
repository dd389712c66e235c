"""Sweeps whose trials train in stages: after each the worst end, or go on with what the best have learned."""

from __future__ import annotations

from kexp.sweeps.population.asha import AshaSweeper
from kexp.sweeps.population.pbt import PbtSweeper

__all__ = ["AshaSweeper", "PbtSweeper"]
