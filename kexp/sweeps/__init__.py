"""Sweeps: plan, launch, record, resume and compare many trials. `kexp.sweep` runs a sweep.

Input: a command line, or axes from Python. Output: recorded trials, a comparison and a report.
The rooms are the stages in their order: `plan`, `launch`, `record`, `compare`, `report`; `execution` runs them, and
`search` and `population` choose trials while the sweep runs. import-linter holds their order (pyproject.toml).
"""

from __future__ import annotations

__all__: list[str] = []
