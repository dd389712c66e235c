from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from kexp.data import csv_index
from kexp.errors import DataError

BITS = ["a", '"', '""', ",", "\n", "\r\n", "\r", " ", "7", "é", ""]


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 64, 1 << 20])
def test_index_cuts_records_as_the_csv_module_does(
    block_bytes: int, tmp_path: Path, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_index, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "fuzz.csv"
    for _ in range(200):
        rows = [
            ["".join(random.choice(BITS, random.integers(0, 6))) for _ in range(3)]
            for _ in range(random.integers(1, 8))
        ]
        made = io.StringIO(newline="")
        quoting = csv.QUOTE_ALL if random.random() < 0.3 else csv.QUOTE_MINIMAL
        csv.writer(made, lineterminator=str(random.choice(["\n", "\r\n"])), quoting=quoting).writerows(rows)
        raw = made.getvalue().encode()
        if random.random() < 0.5:
            raw = raw.rstrip(b"\r\n") or raw
        path.write_bytes(raw)
        records = csv_index.index_records(path, ",", "data.path")
        found = [
            next(csv.reader(io.StringIO(raw[start:end].decode(), newline="")))
            for start, end in zip(records.starts, records.ends, strict=True)
        ]
        assert found == [row for row in csv.reader(io.StringIO(raw.decode(), newline="")) if row]
        assert records.fields.tolist() == [len(row) for row in found]


def test_index_by_numpy_equals_index_by_pattern(
    tmp_path: Path, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plain.csv"
    for _ in range(300):
        monkeypatch.setattr(csv_index, "BLOCK_BYTES", int(random.choice([1, 3, 7, 64])))
        bom = b"\xef\xbb\xbf" if random.random() < 0.2 else b""
        path.write_bytes(bom + "".join(random.choice(["a", ",", "\n", "\r\n", "5"], random.integers(1, 30))).encode())
        plain, quoted = csv_index._index_plain(path, b","), csv_index._index_quoted(path, ",", "data.path")
        assert plain is not None
        for name in ("starts", "ends", "fields"):
            assert np.array_equal(getattr(plain, name), getattr(quoted, name)), path.read_bytes()


def test_index_refuses_a_quoted_field_that_does_not_end(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text('a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(DataError, match=r"^data\.path: open\.csv has a quoted field in row 2 that does not end$"):
        csv_index.index_records(path, ",", "data.path")
