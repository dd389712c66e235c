"""Every component of this package keeps to kexp's contract."""

from __future__ import annotations

from typing import Any

import pytest

from kexp.testing import ComponentContract

COMPONENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("optimizer", "lookahead", {"k": 3}),
    ("schedule", "inverse_sqrt", {"warmup_steps": 2}),
    ("loss", "poly_crossentropy", {"epsilon": 0.5}),
    ("loss", "quantile_loss", {"quantile": 0.2}),
    ("metrics", "calibration_error", {"bins": 5}),
    ("activation", "snake", {"alpha": 2.0}),
    ("layer", "GatedDense", {"units": 5, "activation": {"name": "snake", "alpha": 0.5}}),
    ("model", "residual_mlp", {"width": 8, "blocks": 1, "dropout": 0.1}),
    ("data", "two_moons", {"rows": 200}),
    ("callbacks", "target_reached", {"target": 0.1}),
    ("initializer", "sparse_normal", {"connections": 2}),
    ("regularizer", "group_lasso", {}),
    ("format", "npz", {}),
]


class TestContract(ComponentContract):
    """kexp's contract, on each of them."""

    @pytest.fixture(params=COMPONENTS, ids=lambda each: f"{each[0]}={each[1]}")
    def component(self, request: pytest.FixtureRequest) -> Any:
        return request.param
