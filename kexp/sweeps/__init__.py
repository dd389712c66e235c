"""Sweeps: plan, launch, record, resume and compare many trials. `kexp.sweep` runs a sweep."""

from __future__ import annotations

__all__: list[str] = []
