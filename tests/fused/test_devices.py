"""Lanes split among two devices: in a process of its own, to which the CPU says that it is two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import made
import numpy as np

from kexp import fused
from kexp.fused import LaneResult, Trial

RICH = (
    "model.hidden=[8]",
    "trainer.epochs=2",
    "trainer.batch_size=20",
    "model.dropout=0.2",
    "trainer.class_weight=balanced",
    "callbacks=[early_stopping]",
    "callbacks.early_stopping.restore_best_weights=true",
)

PROGRAM = """
import sys
sys.path[:0] = {path!r}
import numpy as np
import made, test_devices
from kexp import fused

trials = test_devices.trials()
results = test_devices.trained(trials)
assert [(each.width, each.executor) for each in results] == [(8, "scan on 2 devices")] * 6
assert fused.default_threads() == 1
made.assert_same_bits(results[5], fused.train_one(trials[5].prepared))
np.savez({file!r}, **test_devices.values(results))
"""


def trials() -> list[Trial]:
    return made.trials(*[(*RICH, f"seed={seed}") for seed in range(6)])


def trained(these: list[Trial]) -> list[LaneResult]:
    results = [each for each in fused.run_trials(these) if isinstance(each, LaneResult)]
    assert [each.status for each in results] == ["finished"] * 6, [each.reason for each in results]
    return sorted(results, key=lambda each: each.trial.key)


def values(results: list[LaneResult]) -> dict[str, np.ndarray]:
    """All that came out, by trial."""
    found = {}
    for number, each in enumerate(results):
        assert each.state is not None
        variables = [*each.state.trainable, *each.state.non_trainable, *each.state.optimizer]
        found.update({f"trial {number}, variable {i}": value for i, value in enumerate(variables)})
        found[f"trial {number}, history"] = np.array([list(metrics.values()) for _, metrics in each.history.epochs])
        found[f"trial {number}, test"] = np.array(list(each.test.values()))
    return found


def test_lanes_are_split_among_two_devices(tmp_path: Path) -> None:
    """Four on each, one program: bit for bit what a lane gives alone there, to rounding what it gives on one device."""
    here, file = Path(__file__).parent, tmp_path / "two.npz"
    code = PROGRAM.format(path=[str(here), str(here.parent)], file=str(file))
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    one = values(trained(trials()))
    with np.load(file) as two:
        assert set(two.files) == set(one)
        for key, value in one.items():
            np.testing.assert_allclose(two[key], value, rtol=2e-5, atol=2e-6, err_msg=key)
