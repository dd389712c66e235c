"""The contract on every component of the example package, on this process's backend."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from kexp.testing import ComponentContract

_FILE = Path(__file__).resolve().parents[2] / "plugins" / "kexp-example" / "tests" / "test_contract.py"


def _components() -> list[Any]:
    """The list of the package's own tests."""
    spec = importlib.util.spec_from_file_location("kexp_example_contract", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return list(module.COMPONENTS)


class TestExample(ComponentContract):
    test_works_in_a_new_process_on_another_backend = None  # type: ignore[assignment] # `nox -s slow` runs these

    @pytest.fixture(params=_components(), ids=lambda each: f"{each[0]}={each[1]}")
    def component(self, request: pytest.FixtureRequest) -> Any:
        return request.param
