from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture
def random() -> Iterator[np.random.Generator]:
    """Fresh random numbers; the seed is printed, and pytest shows it when the test fails."""
    seed = np.random.SeedSequence().entropy
    print(f"random seed {seed}")
    yield np.random.default_rng(seed)
