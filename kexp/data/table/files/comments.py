"""Find lines of a CSV file that are not rows: comments before the header or among the rows, and repeated headers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kexp.data.table.files.layout import Layout

__all__ = ["has_comments", "header_again", "without_comments"]

_COMMENTS = ("#", "%", "//", "!")  # how lines of comments begin


def without_comments(lines: list[str]) -> tuple[int, list[str]]:
    """Return the number of comment lines before the header, and the lines from the header on.

    The header may be a comment itself, such as `# a,b,c`.
    """
    count = next((index for index, line in enumerate(lines) if not line.startswith(_COMMENTS)), 0)
    if count and _names_columns(lines[count - 1], lines[count : count + 2], alone=count == 1):
        header = lines[count - 1]
        return count - 1, [header.removeprefix("#").lstrip(" "), *lines[count:]]
    return count, lines[count:]


def _names_columns(comment: str, rows: list[str], *, alone: bool) -> bool:
    """Return whether a comment is the header: it has as many fields as the line below, which is a row.

    A line is a row if it has numbers, or, below a single comment, if the next line has none either.
    """
    bare = comment.removeprefix("#")
    for mark in (*",;\t|", None):  # None for any number of spaces
        names, *below = ([field.strip() for field in line.strip().split(mark)] for line in (bare, *rows))
        if len(names) == len(below[0]) > 1:
            measured = [any(map(_is_number, fields)) for fields in below]
            words = alone and mark is not None and not any(measured)
            return not any(map(_is_number, names)) and (measured[0] or words)
    return False


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def header_again(lines: Sequence[str], layout: Layout) -> str:
    """Return the header line if it also occurs among the rows, as in concatenated files; else an empty text."""
    header = lines[layout.skip].strip() if layout.has_header else ""
    return header if header and any(line.strip() == header for line in lines[layout.begin :]) else ""


def has_comments(lines: Sequence[str], layout: Layout) -> bool:
    """Return whether lines among the rows are comments: they begin with #, and no other line contains it."""
    marked = [line for line in lines[layout.begin :] if "#" in line]
    return bool(marked) and all(line.startswith("# ") for line in marked)
