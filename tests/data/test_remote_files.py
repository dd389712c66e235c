"""Tables at addresses: fetched from a real server, kept, asked for again only where they changed."""

from __future__ import annotations

import base64
import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from kexp.data.table.component import table
from kexp.errors import DataError

ROWS = pd.DataFrame({"a": range(40), "b": [f"s{row % 3}" for row in range(40)], "kind": ["x", "y"] * 20})


_plain_get = http.server.SimpleHTTPRequestHandler.do_GET


class _Counting(http.server.SimpleHTTPRequestHandler):
    sent: ClassVar[list[int]] = []

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.sent.append(int(code))


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str, list[int]]]:
    """A folder, its address, and the codes that its server answers with."""
    monkeypatch.setenv("KEXP_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (_Counting,), {"sent": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}", handler.sent
        server.shutdown()
        thread.join()


def test_a_table_at_an_address_is_the_table(served: tuple[Path, str, list[int]], tmp_path: Path) -> None:
    folder, address, sent = served
    ROWS.to_csv(tmp_path / "here.csv", index=False)
    expected = table(str(tmp_path / "here.csv"), "kind").digest
    ROWS.to_csv(folder / "t.csv", index=False)
    ROWS.to_csv(folder / "t.csv.gz", index=False)
    ROWS.to_parquet(folder / "t.parquet")
    for name in ("t.csv", "t.csv.gz", "t.parquet", "t.csv?version=2"):
        assert table(f"{address}/{name}", "kind").digest == expected, name
    assert set(sent) == {200}


def test_user_and_password_of_an_address_are_sent_and_not_shown(
    served: tuple[Path, str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address, _ = served
    ROWS.to_csv(folder / "t.csv", index=False)
    asked: list[str | None] = []
    monkeypatch.setattr(
        _Counting, "do_GET", lambda self: (asked.append(self.headers["Authorization"]), _plain_get(self))
    )
    whole = address.replace("://", "://me:se%40cret@")
    assert table(f"{whole}/t.csv", "kind").digest == table(f"{address}/t.csv", "kind").digest
    assert asked == ["Basic " + base64.b64encode(b"me:se@cret").decode(), None]
    with pytest.raises(DataError, match=r"^data\.path: http://me:\*\*\*@\S+/no\.csv cannot be read: HTTP 404"):
        table(f"{whole}/no.csv", "kind")


def test_what_did_not_change_is_not_sent_again(served: tuple[Path, str, list[int]]) -> None:
    folder, address, sent = served
    ROWS.to_csv(folder / "t.csv", index=False)
    first = table(f"{address}/t.csv", "kind").digest
    assert table(f"{address}/t.csv", "kind").digest == first
    assert sent == [200, 304]
    ROWS.assign(a=ROWS.a * 2).to_csv(folder / "t.csv", index=False)
    os.utime(folder / "t.csv", (2e9, 2e9))
    assert table(f"{address}/t.csv", "kind").digest != first
    assert sent == [200, 304, 200]


def test_what_was_not_asked_for_longest_goes_where_there_is_too_much(
    served: tuple[Path, str, list[int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, address, _ = served
    for place, name in enumerate("abc"):
        ROWS.assign(a=place).to_csv(folder / f"{name}.csv", index=False)
    table(f"{address}/a.csv", "kind")
    table(f"{address}/b.csv", "kind")
    for place, name in enumerate("ba"):  # a was asked for again
        (used,) = (each.parent / ".used" for each in (tmp_path / "cache" / "fetched").glob(f"*/{name}.csv"))
        os.utime(used, (1e9 + place, 1e9 + place))
    size = (folder / "a.csv").stat().st_size
    monkeypatch.setattr("kexp.system.cache_limit.KEPT_BYTES", size * 3 // 2)
    assert len(table(f"{address}/c.csv", "kind")) == 40
    assert sorted(each.name for each in (tmp_path / "cache" / "fetched").glob("*/?.csv")) == ["a.csv", "c.csv"]


def test_an_address_without_a_table_is_one_sentence(served: tuple[Path, str, list[int]]) -> None:
    folder, address, _ = served
    with pytest.raises(DataError, match=rf"^data\.path: {address}/no\.csv cannot be read: HTTP 404 File not found$"):
        table(f"{address}/no.csv", "kind")
    (folder / "page.csv").write_text("<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(DataError, match=r"^data\.path: page\.csv is a web page, not a table"):
        table(f"{address}/page.csv", "kind")
    with pytest.raises(DataError, match=r"^data\.path: http://127\.0\.0\.1:9/t\.csv cannot be read: .*refused"):
        table("http://127.0.0.1:9/t.csv", "kind")
