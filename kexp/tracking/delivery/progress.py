"""Waits for the end of a delivery, and reports its progress and what is left on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kexp.system.disk import mentions_disk_full
from kexp.system.folders import shown_path
from kexp.system.interrupts import interrupts_call
from kexp.system.wording import counted
from kexp.tracking.settings import command_line

__all__ = ["DeliveryState", "refused_notice", "wait_for", "waiting_notice"]

_PRINT_INTERVAL_S = 3.0
_POLL_S = 0.2  # the longest delay of Ctrl-C
_BAR = 20  # characters


@dataclass(frozen=True)
class DeliveryState:
    """The state of a delivery.

    Attributes:
        failure: why the last attempt failed; empty if it succeeded.
        remaining_s: for how many more seconds the delivery is retried.
        over: whether the delivery has ended.
        refused: the reason for each row that the store refused.
        models_refused: how many of those were models.
        given_up: whether the user pressed Ctrl-C.
    """

    failure: str = ""
    remaining_s: float = 0.0
    over: bool = False
    refused: tuple[str, ...] = ()
    models_refused: int = 0
    given_up: bool = False


def wait_for(
    state: Callable[[float], DeliveryState],
    left: Callable[[], int],
    noun: str,
    print_line: Callable[[str], None] | None,
    give_up: Callable[[], None],
) -> DeliveryState:
    """Waits until a delivery is over.

    Args:
        state: returns the state of the delivery when it has ended, at the latest after a number of seconds.
        left: returns how many things wait.
        noun: the word for these things in messages, in the plural.
        print_line: called every few seconds with a line on how many are left, and for how long; None prints nothing.
        give_up: called on Ctrl-C, and ends the delivery soon.

    Returns:
        The state at the end.
    """
    given_up = False

    def interrupted() -> None:
        nonlocal given_up
        given_up = True
        give_up()

    start = last_print = time.monotonic()
    total = left()
    with interrupts_call(interrupted):
        while not (now := state(_POLL_S)).over:
            if print_line is None or given_up or time.monotonic() - last_print < _PRINT_INTERVAL_S:
                continue
            last_print, rest = time.monotonic(), left()
            if rest:
                print_line(_line(now, rest, max(total, rest), noun, last_print - start))
    return replace(now, given_up=given_up)


def _line(now: DeliveryState, left: int, total: int, noun: str, passed_s: float) -> str:
    sent = total - left
    bar = f"[{'#' * (_BAR * sent // total):-<{_BAR}}]"
    if mentions_disk_full(now.failure):
        rest = f"; {now.failure}"
    elif now.failure:
        rest = f"; it is away ({now.failure}) and is waited for {now.remaining_s:.0f} s more"
    else:
        rest = f", {passed_s * left / sent:.0f} s left" if sent else ""
    return f"store    {bar} {left} of {total} {noun} are still to be sent{rest} (Ctrl-C: leave them)"


def waiting_notice(
    state: DeliveryState, waiting: Sequence[tuple[int, str]], folder: Path, alternative: str = ""
) -> str:
    """Returns the sentence on what is left on disk.

    Args:
        state: the state of the delivery at its end.
        waiting: what waits, each with its number: `(3, "rows")`; 0 of one is left out.
        folder: the folder of the run or sweep.
        alternative: another command that delivers them; empty for none.
    """
    place = shown_path(folder)
    total = sum(count for count, _ in waiting)
    rest = " and ".join(f"{count} {what}" for count, what in waiting if count) + (" waits" if total == 1 else " wait")
    it = "it" if total == 1 else "them"
    how = f"deliver {it} with `{command_line('sync', place)}`" + (f", or {alternative}" if alternative else "")
    if state.given_up:
        return f"You did not wait for the tracking store: {rest} in {place}; {how}."
    if mentions_disk_full(state.failure):
        return f"{state.failure[:1].upper()}{state.failure[1:]}; {rest} in {place}; make room, and {how}."
    away = f" ({state.failure})" if state.failure else ""
    return f"The tracking store is away{away}: {rest} in {place}; {how}."


def refused_notice(refused: Sequence[str], outbox: Path) -> str:
    """Returns the sentence on rows that the store refused.

    Args:
        refused: the reason for each row.
        outbox: the folder in which the rows are kept.
    """
    return f"The tracking store refused {counted(len(refused), 'row')}, kept in {outbox}: {refused[0]}"
