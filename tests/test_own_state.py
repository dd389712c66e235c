"""What one's own modules keep from call to call."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import own_checks
import pytest

import kexp
from kexp.registry.own_state import begun_anew, untouched

SETTING = """
import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import tensorflow as tf

keras.config.set_epsilon(0.25)
keras.config.set_image_data_format("channels_first")
keras.config.set_floatx("float64")
keras.utils.set_random_seed(1)
tf.config.run_functions_eagerly(True)
os.chdir("/")
"""
READING = """
import keras
import tensorflow as tf


def loss(t, p):
    found = keras.config.epsilon(), keras.config.image_data_format(), tf.config.functions_run_eagerly()
    assert found == {found}, found
    return keras.ops.mean(keras.ops.square(t - p), axis=-1)
"""
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


def test_what_a_module_sets_for_the_whole_process_is_so_in_its_own_runs_alone(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kexp.system.process_settings import settings

    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "setting_all.py").write_text(SETTING + READING.replace("{found}", "(0.25, 'channels_first', True)"))
    (workplace / "setting_none.py").write_text(READING.replace("{found}", "(1e-7, 'channels_last', False)"))

    def now() -> dict[str, object]:
        return {name: value for name, (_, value) in settings().items()} | {"backend": os.environ.get("KERAS_BACKEND")}

    few = [each for each in own_checks.SMALL if not each.startswith("trainer.verbose")]
    kexp.run([*few, "loss=setting_none:loss"])
    before = now()
    losses = []
    for module in ("setting_all", "setting_none", "setting_all"):
        losses.append(kexp.run([*few, f"loss={module}:loss"]).history.columns()["loss"])
        assert now() == before
    assert losses[0] == losses[2] == pytest.approx(losses[1], rel=1e-5)
    said = capsys.readouterr().out
    assert said.count("tensorflow, whatever KERAS_BACKEND a module sets, here torch; backend=torch is for it") == 2
    assert said.count("layers compute in float32, whatever floatx a module sets, here float64") == 2
