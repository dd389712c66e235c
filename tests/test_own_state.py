"""What one's own modules keep from call to call."""

from __future__ import annotations

import importlib
from pathlib import Path

import own_checks
import pytest

import kexp
from kexp.registry.own_state import begun_anew, untouched

STATEFUL = """
from collections import deque
from keras import ops

count, seen, last = 0, [], deque()


def counting(t, p):
    global count
    count += 1
    seen.append(count)
    counting.times = getattr(counting, "times", 0) + 1
    return (count + counting.times) * ops.mean(ops.square(t - p), axis=-1)


def closing():
    many = 0

    def loss(t, p):
        nonlocal many
        many += 1
        return many * ops.mean(ops.square(t - p), axis=-1)

    return loss


closed = closing()


class Growing:
    made = 0

    def __init__(self):
        self.scale = 1.0

    def __call__(self, t, p):
        self.scale += 1.0
        Growing.made += 1
        return (self.scale + Growing.made) * ops.mean(ops.square(t - p), axis=-1)


growing = Growing()
"""


@pytest.fixture
def module(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "stateful.py").write_text(STATEFUL)
    return "stateful"


@pytest.mark.parametrize("name", ["counting", "closed", "growing"])
def test_two_runs_of_one_process_begin_alike(module: str, name: str) -> None:
    first, second = (kexp.run([*own_checks.SMALL, f"loss={module}:{name}"]) for _ in range(2))
    assert first.history.epochs == second.history.epochs


def test_what_a_module_imports_from_beside_it_begins_alike_too(workplace: Path, module: str) -> None:
    (workplace / "outer.py").write_text("import stateful\nfrom stateful import Growing\n\nmade = Growing()\n")
    outer, inner = importlib.import_module("outer"), importlib.import_module(module)
    for _ in range(2):
        with begun_anew(["outer"]):
            assert (inner.count, inner.seen, outer.made.scale) == (0, [], 1.0)
            inner.count += 1
            inner.seen.append(inner.count)
            outer.made.scale += 1.0


def test_what_a_run_left_is_there_until_the_next_one_and_what_the_user_changes_stays(module: str) -> None:
    made = importlib.import_module(module)
    with begun_anew([module]):
        made.count, made.seen[:] = 5, [1, 2]
    assert (made.count, made.seen) == (5, [1, 2])
    seen = made.seen
    with begun_anew([module]):
        assert (made.count, made.seen) == (0, [])
        assert made.seen is seen
    made.count = 7
    with begun_anew([module]):
        assert made.count == 7
    with untouched([module]):
        made.count = 8
        made.seen.append(3)
    assert (made.count, made.seen) == (7, [])
