"""The Ray cluster that a sweep runs on, and how many trials have room there at once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray

from kexp.errors import ConfigError, first_line

__all__ = ["Needs", "connected", "described", "how_many_fit", "node_is_lost"]


_ANSWER_S = 10.0


@dataclass(frozen=True)
class Needs:
    """What one trial takes of a node.

    Args:
        num_cpus: cores.
        num_gpus: GPUs; a share of one is allowed.
        resources: what else, by the names that the cluster gives.
    """

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)

    def all(self) -> dict[str, float]:
        """By Ray's names, without those that are zero."""
        named = {"CPU": self.num_cpus, "GPU": self.num_gpus, **self.resources}
        return {name: amount for name, amount in named.items() if amount > 0}

    def __str__(self) -> str:
        return ", ".join(f"{amount:g} {name}" for name, amount in self.all().items())


@contextlib.contextmanager
def connected(address: str | None, runtime_env: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Ray, connected within the block; a connection that is there already is used and kept.

    Yields:
        The runtime environment that is left to give to each actor.

    Raises:
        ConfigError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield runtime_env
        return
    where = address or os.environ.get("RAY_ADDRESS")
    _check_answers(where)
    with _own_signals():
        try:
            ray.init(
                address=address,
                runtime_env=dict(runtime_env) or None,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                logging_level="ERROR",
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(where, error) from error
    try:
        yield {}
    finally:
        ray.shutdown()


def _check_answers(address: str | None) -> None:
    """Somebody listens there. Ray itself would try for ever."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address or "")
    if found is None:
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=_ANSWER_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str | None, error: Exception) -> ConfigError:
    where = repr(address) if address else "this machine"
    return ConfigError(f"hydra.launcher.address: no Ray cluster answers at {where}: {first_line(error)}")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; how a sweep ends is the sweep's to say."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def how_many_fit(needs: Needs) -> int:
    """How many trials have room at once on the nodes that are alive, whatever else is running there."""
    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            room += int(min(has.get(name, 0.0) / amount + 1e-9 for name, amount in needs.all().items()))
    return room


def described() -> str:
    """The nodes that are alive, in a few words."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    each = [" and ".join(f"{has[name]:g} {name}" for name in _named(has)) or "nothing" for has in alive]
    return f"{len(alive)} node{'s' * (len(alive) != 1)} with " + ", ".join(each)


def _named(has: Mapping[str, float]) -> list[str]:
    """What a trial may ask for by name; Ray counts memory and each node's own name among a node's resources too."""
    others = sorted(
        name for name in has if name not in ("CPU", "GPU", "memory", "object_store_memory") and ":" not in name
    )
    return [name for name in ("CPU", "GPU", *others) if has.get(name)]


def node_is_lost(node_id: str, error: Exception) -> bool:
    """Whether it was the node that died, and not the process alone."""
    if "node has died" in str(error):
        return True
    return any(node["NodeID"] == node_id and not node["Alive"] for node in ray.nodes())
