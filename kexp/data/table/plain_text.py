"""The text of a CSV file: its encoding, its first lines, and a copy in which only its rows are left."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from kexp.data.table.files import TableFile
from kexp.errors import DataError

__all__ = [
    "Split",
    "encoding_of",
    "ends_alike",
    "first_lines",
    "places_of",
    "rewritten",
    "split_at_places",
    "split_at_spaces",
]

Split = Callable[[Iterable[str]], Iterator[list[str]]]

_START_BYTES = 1 << 16


def encoding_of(file: TableFile, given: str | None) -> tuple[str, str]:
    """A text file's encoding, and a note where that is a guess: UTF-8 if it is that, else Windows' Western one.

    Raises:
        DataError: there is no encoding of that name, or the text is in none that is known.
    """
    if given is not None:
        try:
            codecs.lookup(given)
        except LookupError:
            raise DataError(f"data.encoding: there is no encoding {given!r}; utf-8 and latin-1 are two") from None
        if codecs.lookup(given).name == "utf-8":
            given = "utf-8-sig"
        if not _decodes(file.path, given):
            raise DataError(f"data.encoding: {file.name} must be text in {given}, which it is not")
        return given, ""
    with open(file.path, "rb") as content:
        start = content.read(_START_BYTES)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", ""
    if b"\0" in start[:2]:
        return ("utf-16-be" if start.startswith(b"\0") else "utf-16-le"), ""
    if _decodes(file.path, "utf-8"):
        return "utf-8-sig", ""
    if _decodes(file.path, "cp1252"):
        return "cp1252", "read as cp1252, for it is no UTF-8 (data.encoding says otherwise)"
    raise DataError(f"{file.key}: {file.name} must be UTF-8 text; data.encoding=latin-1 reads another encoding")


def _decodes(path: str, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open(path, "rb") as content:
            while block := content.read(1 << 20):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def first_lines(path: str, encoding: str) -> list[str]:
    """The whole lines among the first characters of a text."""
    with open(path, encoding=encoding, newline="") as content:
        start = content.read(_START_BYTES)
    lines = list(io.StringIO(start, newline=""))
    return lines[:-1] if len(start) == _START_BYTES and len(lines) > 1 else lines


def ends_alike(lines: Sequence[str]) -> bool:
    """Whether all lines end as the first does, as DuckDB needs it."""
    return len({line[len(line.rstrip("\r\n")) :] for line in lines[:-1]}) < 2


def rewritten(path: str, encoding: str, to: Path, *, skip: int, comments: bool, split: Split | None) -> str:
    """A copy in UTF-8, from the header on.

    Args:
        path: the text.
        encoding: of the text.
        to: the copy.
        skip: lines before the header, which are left out.
        comments: whether lines that begin with # are left out.
        split: how lines become fields where no delimiter separates them; tabs separate them in the copy.
    """
    with open(path, encoding=encoding) as content, open(to, "w", encoding="utf-8", newline="") as out:
        lines: Iterator[str] = itertools.islice(content, skip, None)
        if comments:
            lines = (line for line in lines if not line.startswith("#"))
        if split is None:
            out.writelines(lines)
        else:
            csv.writer(out, delimiter="\t", lineterminator="\n").writerows(split(lines))
    return str(to)


def split_at_spaces(lines: Iterable[str], quote: str) -> Iterator[list[str]]:
    """Fields between which any number of spaces and tabs stands."""
    bare = (line.replace("\t", " ").strip() for line in lines)
    return csv.reader(bare, delimiter=" ", skipinitialspace=True, quotechar=quote or '"')


def split_at_places(lines: Iterable[str], starts: Sequence[int]) -> Iterator[list[str]]:
    """Fields that begin at the same place of each line."""
    ends = [*starts[1:], None]
    for line in lines:
        yield [line[start:end].strip() for start, end in zip(starts, ends, strict=True)] if line.strip() else []


def places_of(lines: Sequence[str]) -> list[int]:
    """Where the fields of lines of fixed width begin: after what is blank in all of them."""
    there = [line.rstrip() for line in lines if line.strip()]
    width = max(map(len, there), default=0)
    filled = [any(place < len(line) and line[place] != " " for line in there) for place in range(width)]
    return [place for place in range(width) if filled[place] and (place == 0 or not filled[place - 1])]
