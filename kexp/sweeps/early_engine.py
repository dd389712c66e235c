"""Starts the process of the lanes before the sweep is planned: importing Keras and JAX takes a second.

The command line alone decides, before Hydra is imported. A process that the launcher does not need ends as soon as the
launcher is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # not imported by `kexp --cfg job`, which asks `expects_lanes` too
    from kexp.system.child_process import ChildProcess

__all__ = ["end_unused_engine", "expects_lanes", "start_engine_early", "take_engine"]

_ENGINE = "kexp.sweeps.launch.lanes.engine_process:serve"
_MULTIRUN = {"-m", "--multirun"}
_OTHER_FLAGS = {"--config-dir", "-cd", "--config-name", "-cn"}  # those that print and compute nothing are not here
_LAUNCHERS = {"auto", "fused"}
_early: list[ChildProcess] = []


def expects_lanes(arguments: Sequence[str]) -> bool:
    """Returns whether a command line is a sweep whose launcher starts the engine, as far as its words tell.

    Addresses are left out: their passwords are hidden from the command line, and child processes are told of them,
    later.

    Args:
        arguments: the words of the command line, without the program's name.
    """
    chosen = {key.lstrip("+"): value for key, _, value in (each.partition("=") for each in arguments)}
    flags = {each.partition("=")[0] for each in arguments if each.startswith("-")}
    if not flags & _MULTIRUN or not flags <= _MULTIRUN | _OTHER_FLAGS or "://" in "".join(arguments):
        return False
    return "backend" not in chosen and chosen.get("hydra/launcher", "auto") in _LAUNCHERS


def start_engine_early() -> None:
    """Starts the engine's process for the next caller of `take_engine`, unless one is waiting already."""
    _early.append(take_engine())


def take_engine() -> ChildProcess:
    """Returns the engine's process that was started early, or a new one.

    Raises:
        OSError: no process can be started.
    """
    from kexp.system.child_process import ChildProcess

    return _early.pop() if _early else ChildProcess(_ENGINE)


def end_unused_engine() -> None:
    """Ends a process that was started early and that no launcher has taken."""
    while _early:
        _early.pop().kill()
