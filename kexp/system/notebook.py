"""Output in a Jupyter notebook: a text that is updated in place in a cell's output.

A kernel's standard output is not a terminal, so escape codes cannot replace a line that was written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

__all__ = ["hide_displays", "table", "updating_text"]


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Formats a table of texts as HTML, for `_repr_html_`.

    Args:
        heads: the columns' heads.
        lines: the rows, each of as many texts.
    """

    def cells(kind: str, texts: Sequence[str]) -> str:
        return "".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts)

    body = "".join(f"<tr>{cells('td', texts)}</tr>" for texts in lines)
    return f"<table><thead><tr>{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table>"


def updating_text() -> Callable[[str], None] | None:
    """Returns a function that shows a text in place of its previous one; None outside a notebook."""
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
def hide_displays() -> Iterator[None]:
    """Hides what libraries display in the cell's output; printed text still shows."""
    if not _in_kernel():
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False):
        yield


def _in_kernel() -> bool:
    """Returns whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
