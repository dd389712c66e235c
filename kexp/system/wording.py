"""Counts in messages."""

from __future__ import annotations

__all__ = ["counted", "plural"]


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun: `1 trial`, `4096 trials`.

    Args:
        count: at least 0.
        noun: in the singular, with a plural in -s.
    """
    return f"{count} {plural(noun, count)}"


def plural(noun: str, count: int) -> str:
    """Returns the noun for a count, without it; see `counted`."""
    return noun if count == 1 else f"{noun}s"
