"""The text of a CSV file: detect its encoding, read its first lines, and write a copy with only its rows."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from kexp.data.table.files.matching import TableFile
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
    """Return a text file's encoding, and a notice if it is a guess: UTF-8 if that is valid, else Windows-1252.

    Raises:
        DataError: the given encoding does not exist or is not that of the text, or no encoding fits.
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
    wide = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else None
    if wide is None and b"\0" in start[:2]:
        wide = "utf-16-be" if start.startswith(b"\0") else "utf-16-le"
    if _decodes(file.path, wide or "utf-8"):
        return wide or "utf-8-sig", ""
    if wide is None and _decodes(file.path, "cp1252"):
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
    """Return the complete lines in the first characters of a text."""
    with open(path, encoding=encoding, newline="") as content:
        start = content.read(_START_BYTES)
    lines = list(io.StringIO(start, newline=""))
    return lines[:-1] if len(start) == _START_BYTES and len(lines) > 1 else lines


def ends_alike(lines: Sequence[str]) -> bool:
    """Return whether all lines have the same line ending, which DuckDB requires."""
    return len({line[len(line.rstrip("\r\n")) :] for line in lines[:-1]}) < 2


def rewritten(
    path: str, encoding: str, to: Path, *, skip: int, comments: bool, without: str, split: Split | None
) -> str:
    """Write a copy in UTF-8, starting at the first row.

    Args:
        path: the text file.
        encoding: its encoding.
        to: the copy.
        skip: number of lines before the first row to leave out.
        comments: whether to leave out lines that begin with #.
        without: a line to leave out wherever it stands; "" for none.
        split: splits lines into fields that no delimiter separates; the copy separates them by tabs.
    """
    with open(path, encoding=encoding) as content, open(to, "w", encoding="utf-8", newline="") as out:
        lines: Iterator[str] = itertools.islice(content, skip, None)
        if comments:
            lines = (line for line in lines if not line.startswith("#"))
        if without:
            lines = (line for line in lines if line.strip() != without)
        if split is None:
            out.writelines(lines)
        else:
            csv.writer(out, delimiter="\t", lineterminator="\n").writerows(split(lines))
    return str(to)


def split_at_spaces(lines: Iterable[str], quote: str) -> Iterator[list[str]]:
    """Split lines into fields at runs of spaces and tabs."""
    bare = (line.replace("\t", " ").strip() for line in lines)
    return csv.reader(bare, delimiter=" ", skipinitialspace=True, quotechar=quote or '"')


def split_at_places(lines: Iterable[str], starts: Sequence[int]) -> Iterator[list[str]]:
    """Split lines into fields that start at the same positions in each line."""
    ends = [*starts[1:], None]
    for line in lines:
        yield [line[start:end].strip() for start, end in zip(starts, ends, strict=True)] if line.strip() else []


def places_of(lines: Sequence[str]) -> list[int]:
    """Return the positions where fields of fixed width start: after the columns that are blank in all lines."""
    there = [line.rstrip() for line in lines if line.strip()]
    width = max(map(len, there), default=0)
    filled = [any(place < len(line) and line[place] != " " for line in there) for place in range(width)]
    return [place for place in range(width) if filled[place] and (place == 0 or not filled[place - 1])]
