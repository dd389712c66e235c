"""The small training that these tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def trial() -> ModuleType:
    """The module `trial.py` beside this file, which is a program as well."""
    spec = importlib.util.spec_from_file_location("trial", Path(__file__).with_name("trial.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
