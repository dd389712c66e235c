"""Sweeps: many configs, planned, launched, survived, resumed and compared. `kexp.sweep` runs one."""

from __future__ import annotations

__all__: list[str] = []
