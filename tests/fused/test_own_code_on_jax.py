"""Code of one's own on JAX; what is the same on every backend is in tests/test_own_code.py."""

from __future__ import annotations

from pathlib import Path

import own_checks
import pytest


@pytest.mark.parametrize("name", own_checks.NAMES)
def test_a_module_s_parts_train_as_in_plain_keras(name: str, workplace: Path) -> None:
    own_checks.check(name)
