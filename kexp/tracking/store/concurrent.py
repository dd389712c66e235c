"""Makes calls that wait for a store at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

__all__ = ["AT_ONCE", "side_by_side"]

AT_ONCE = 16
"""Connections to one server; more gained nothing against one MLflow server at 0.2 s a request."""


def side_by_side(calls: Sequence[Callable[[], Made]], at_once: int = AT_ONCE) -> list[Made]:
    """Makes all calls, several at the same time.

    Args:
        calls: the functions to call.
        at_once: how many at the same time; 1 makes one call after the other.

    Returns:
        The results, in the order of `calls`.

    Raises:
        Exception: the first failure in the order of `calls`, after all calls were made.
    """
    with ThreadPoolExecutor(max(1, min(at_once, len(calls))), thread_name_prefix="kexp-store") as pool:
        made = [pool.submit(call) for call in calls]
    return [each.result() for each in made]
