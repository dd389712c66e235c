"""The fused engine runs on Keras' JAX backend, and a process has one backend: these tests are a run of their own.

    KERAS_BACKEND=jax pytest tests/fused

In a run on another backend they are not collected, which the run's header says; asked for by name there, they fail.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if os.environ.get("KERAS_BACKEND") == "jax":
        return None
    asked = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    if any(path == HERE or HERE in path.parents for path in asked):
        pytest.exit("tests/fused needs Keras on JAX: KERAS_BACKEND=jax pytest tests/fused", returncode=4)
    return True


def pytest_report_header() -> str:
    return "tests/fused: a run of its own, KERAS_BACKEND=jax pytest tests/fused"
