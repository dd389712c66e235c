from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kexp.data.files import ByteRows, existing, matching
from kexp.errors import DataError


def _byte_rows(folder: Path, random: np.random.Generator) -> tuple[ByteRows, list[bytes]]:
    paths, starts, ends, expected = [], [], [], []
    for name in ("a", "b", "c"):
        rows = [random.bytes(int(size)) for size in random.integers(0, 50, size=40)]
        path = folder / name
        path.write_bytes(b"|".join(rows))
        begin = np.cumsum([0] + [len(row) + 1 for row in rows])[:-1]
        paths.append(path)
        starts.append(begin)
        ends.append(begin + [len(row) for row in rows])
        expected += rows
    return ByteRows(paths, starts, ends), expected


def test_byte_rows_are_read_in_any_order_by_several_threads(tmp_path: Path, random: np.random.Generator) -> None:
    rows, expected = _byte_rows(tmp_path, random)
    assert rows.read(np.arange(len(rows))) == expected
    orders = [random.integers(0, len(rows), size=60) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for order, found in zip(orders, pool.map(rows.read, orders), strict=True):
            assert found == [expected[row] for row in order]


def test_byte_rows_go_to_other_processes(tmp_path: Path, random: np.random.Generator) -> None:
    rows, expected = _byte_rows(tmp_path, random)
    copy = pickle.loads(pickle.dumps(rows))
    del rows
    assert copy.read(np.array([100, 3, 41])) == [expected[row] for row in (100, 3, 41)]


def test_byte_rows_of_a_file_cut_short_are_an_error(tmp_path: Path, random: np.random.Generator) -> None:
    rows, expected = _byte_rows(tmp_path, random)
    (tmp_path / "c").write_bytes(b"")
    last = max(row for row in range(80, 120) if expected[row])
    with pytest.raises(DataError, match=r"^data\.path: c became shorter while it was read$"):
        rows.read(np.array([last]))


def test_matching_finds_files_by_pattern_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.csv").mkdir()
    assert [path.name for path in matching(str(tmp_path / "*.csv"), "data.path")] == ["a.csv", "b.csv"]
    with pytest.raises(DataError, match=r"^data\.path: must be a file, but .* is a folder$"):
        existing(str(tmp_path), "data.path")
