"""Arrays in mapped temporary files: the values are NumPy's, and the memory is the system's to take back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from kexp.data import epoch_order, feed, split
from kexp.data.table.component import table
from kexp.system import large_arrays
from kexp.system.large_arrays import counted, empty_array, filled, gathered, moved, numbered, selected


@pytest.fixture
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array is large, and takes several chunks."""
    monkeypatch.setattr(large_arrays, "LARGE_BYTES", 1)
    monkeypatch.setattr(large_arrays, "_CHUNK", 7)


def test_values_are_those_of_numpy(in_files: None) -> None:
    random = np.random.default_rng(0)
    for count in (0, 1, 7, 8, 100):
        values = random.integers(0, 9, size=(count, 2))
        rows, where = random.permutation(count), random.random(count) < 0.5
        np.testing.assert_array_equal(numbered(count), np.arange(count))
        np.testing.assert_array_equal(gathered(values, rows), values[rows])
        np.testing.assert_array_equal(selected(values[:, 0], where), values[:, 0][where])
        np.testing.assert_array_equal(moved(values), values)
        np.testing.assert_array_equal(counted(values[:, 0], 9), np.bincount(values[:, 0], minlength=9))
        if count:
            np.testing.assert_array_equal(filled(count, np.array_split(values, min(count, 3))), values)


def test_a_large_array_takes_no_memory_of_the_process_own() -> None:
    def own_kb() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    before = own_kb()
    held = numbered(2**23)
    assert own_kb() - before < 16_000
    assert held.nbytes == 2**26
    assert held.sum() == 2**22 * (2**23 - 1)


def test_an_array_that_the_disk_has_no_place_for_is_in_memory(in_files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert empty_array(100, np.int64).base is None
    np.testing.assert_array_equal(numbered(100), np.arange(100))


@pytest.mark.parametrize("target", ["kind", "grade", "mass"])
def test_a_table_in_files_is_split_and_fed_as_one_in_memory(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    lines = [
        f"{random.normal():.3f},{random.choice(['u', 'v', ''])},{random.choice(['ash', 'birch', 'cedar', ''])},"
        f"{random.choice([-3, 2, 7])},{random.normal():.4f}"
        for _ in range(300)
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["width,site,kind,grade,mass", *lines]) + "\n")

    def content() -> tuple[object, ...]:
        epoch_order.cache_clear()
        data = table(path=str(tmp_path / "rows.csv"), target=target)
        parts = split(data, seed=4)
        batches = feed(parts.train, batch_size=32, seed=2)
        steps = [array.tolist() for step in range(12) for array in batches.batch(batches.rows(step))]
        rows = [part.rows.tolist() for part in (parts.train, parts.validation, parts.test) if part is not None]
        return data.digest, data.spec, rows, parts.train.labels.tolist(), parts.encoding, steps

    in_memory = content()
    monkeypatch.setattr(large_arrays, "LARGE_BYTES", 1)
    monkeypatch.setattr(large_arrays, "_CHUNK", 7)
    assert content() == in_memory
