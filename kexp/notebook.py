"""A Jupyter notebook, where kexp runs in one: a text that stands in one place of a cell's output and changes there.

A kernel's standard output is no terminal: what is written stays, and no escape code takes it back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

__all__ = ["displays_held_back", "standing_text", "table"]


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A small table of texts as HTML, for `_repr_html_`."""

    def cells(kind: str, texts: Sequence[str]) -> str:
        return "".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts)

    body = "".join(f"<tr>{cells('td', texts)}</tr>" for texts in lines)
    return f"<table><thead><tr>{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table>"


def standing_text() -> Callable[[str], None] | None:
    """A function that shows a text in the cell's output, in the place of the one before; None outside a notebook."""
    if not _in_kernel():
        return None
    from IPython.display import display

    shown: Any = None

    def show(text: str) -> None:
        nonlocal shown
        page = f'<pre style="margin:0">{escape(text)}</pre>'
        content = {"text/plain": text, "text/html": page}
        if shown is None:
            shown = display(content, raw=True, display_id=True)
        else:
            shown.update(content, raw=True)

    return show


@contextmanager
def displays_held_back() -> Iterator[None]:
    """Keeps what a library displays of its own accord from the cell's output; prints come through."""
    if not _in_kernel():
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False):
        yield


def _in_kernel() -> bool:
    """Whether this process is a kernel: it has imported IPython then, and its shell belongs to one."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
