"""`kexp plugin check` on launchers, sweepers and engines, and on references whose group is not named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributions import installed

from kexp import registry
from kexp.cli import main
from kexp.errors import ConfigError

SOURCE = '''
from kexp.launching import HydraLauncher, Outcome, SerialLauncher
from kexp.sweeps.sweeper import GridSweeper


class Plain(SerialLauncher):
    """One after another."""


class Positional(HydraLauncher):
    def run_tasks(self, tasks, settings, callbacks):
        pass


class Needy(SerialLauncher):
    def __init__(self, address):
        self.address = address


class Claiming(HydraLauncher):
    """Says that trials finished, and runs none."""
    def run_tasks(self, tasks, events):
        for task in tasks:
            events.on_start(task.number)
            events.on_end(Outcome(task.number, "FINISHED"))


class Unready(SerialLauncher):
    def __init__(self, workers: int = 2):
        raise OSError("no cluster here")


def function():
    pass


class Bare:
    pass


class First(GridSweeper):
    """The first trial alone."""
    def plan(self, arguments):
        return super().plan(arguments)[:1]


def no_engine(prepared):
    pass


def half(prepared, model, *, listeners=(), checkpoint=None):
    return {"loss": 1.0}
'''
ENTRIES: dict[str, dict[str, str]] = {
    "kexp.launcher": {
        **{name.lower(): f"their_parts:{name}" for name in ("Plain", "Positional", "Needy", "Claiming", "Unready")},
        "function": "their_parts:function",
        "missing": "their_parts:Missing",
    },
    "kexp.sweeper": {"first": "their_parts:First", "bare": "their_parts:Bare"},
    "kexp.engine": {"no_engine": "their_parts:no_engine", "half": "their_parts:half"},
}


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path / "site", "their-parts", {"their_parts": SOURCE}, ENTRIES):
        yield


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["plugin", "check", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out + captured.err


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("launcher", "positional", "must take 3 arguments by position: missing a required argument: 'callbacks'"),
        ("launcher", "needy", "each parameter must have a default, which is its config; without one: address"),
        ("launcher", "unready", r"their_parts:Unready() raised OSError: no cluster here"),
        ("launcher", "function", "their_parts:function must be a class, got function"),
        ("launcher", "missing", "has no attribute 'Missing'"),
        ("sweeper", "bare", "their_parts:Bare must have a method setup"),
        ("engine", "no_engine", "must take 2 arguments by position and listeners, checkpoint by name"),
    ],
)
def test_what_a_part_does_not_keep_to_is_named(
    kind: str, name: str, sentence: str, parts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = check(capsys, kind, name)
    assert code == 1
    assert told.startswith(f"{kind}={name}  their-parts 1.0  FAILED\n")
    assert sentence in told


def test_a_launcher_runs_a_sweep_whose_trials_the_store_has(parts: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, "launcher", "plain") == (0, "launcher=plain  their-parts 1.0  ok, 4 checks\n")


@pytest.mark.slow
def test_what_only_a_run_shows_is_named(parts: None, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, name, sentence in (
        ("launcher", "claiming", "a sweep of 2 trials must leave 2 finished runs in the store, got 0"),
        ("sweeper", "first", "a sweep of 2 trials must leave 2 finished runs in the store, got 1"),
        ("engine", "half", "must return a kexp.experiment.Trained, got dict"),
    ):
        code, told = check(capsys, kind, name)
        assert (code, sentence in told) == (1, True), told


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["launcher", "sweeper", "engine"])
def test_kexps_own_keep_to_it(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = check(capsys, kind, "--all")
    assert code == 0, told
    assert all(re.search(r"ok, \d checks$", line) for line in told.splitlines())


OWN = """
import numpy as np
import keras
from keras import ops

def focal(t, p, gamma=2.0):
    return ops.sum(-t * (1 - p) ** gamma * ops.log(p + 1e-7), axis=-1)
def hit(t, p):
    return keras.metrics.categorical_accuracy(t, p)
def wave(z):
    return ops.sin(z)
def lasso(weights, factor=1e-3):
    return factor * ops.sum(ops.abs(weights))
def small(shape, dtype=None):
    return keras.random.normal(shape, stddev=0.01, dtype=dtype)
def halving(step):
    return 0.1 * 0.5 ** (ops.cast(step, "float32") / 100.0)
def boxed(w):
    return ops.clip(w, -0.3, 0.3)
def rows():
    x = np.random.default_rng(1).normal(size=(40, 3)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")
def batches():
    x, y = rows()
    return ((x[start:start + 20], y[start:start + 20]) for start in (0, 20))
def build(spec):
    return keras.Sequential([keras.Input(spec.input_shape), keras.layers.Dense(spec.units)])
def made():
    return keras.optimizers.SGD(0.1)
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
class HitsOfOne(keras.metrics.Metric):  # one-hot targets alone
    def __init__(self, which=0, **more):
        super().__init__(**more)
        self.which, self.hits = which, self.add_weight(name="hits", initializer="zeros")
    def update_state(self, y_true, y_pred, sample_weight=None):
        self.hits.assign_add(ops.sum(y_true[:, self.which] * y_pred[:, self.which]))
    def result(self):
        return self.hits
def one_column(t, p):
    if t.shape[-1] != 1:
        raise ValueError("one column is wanted")
    return ops.mean(ops.square(t - p), axis=-1)
class Soft(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)
heavy = keras.optimizers.SGD(0.05, momentum=0.9)
patient = keras.callbacks.EarlyStopping(patience=7)
class Odd:
    pass
def three(a, b, c):
    return a
number = 7
"""
GROUPS = {
    **{"focal": "loss", "hit": "metrics", "wave": "activation", "lasso": "regularizer", "small": "initializer"},
    **{"halving": "schedule", "boxed": "constraint", "rows": "data", "batches": "data", "build": "model"},
    **{"made": "optimizer", "Twice": "layer", "Soft": "loss", "heavy": "optimizer", "patient": "callbacks"},
    **{"HitsOfOne": "metrics", "one_column": "loss"},
}


@pytest.fixture
def own(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "own_things.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(workplace))


def test_a_reference_s_group_is_read_off_it(own: None) -> None:
    from kexp.testing.references import group_of_reference

    assert {name: group_of_reference(f"own_things:{name}") for name in GROUPS} == GROUPS
    for name in ("Odd", "three"):
        with pytest.raises(ConfigError, match=f"the group of own_things:{name} is not known; name it"):
            group_of_reference(f"own_things:{name}")


def test_a_reference_is_checked_as_a_plugin_s_component_is(own: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = check(capsys, "own_things:focal", "gamma=3.0")
    assert code == 0, told
    assert re.match(r"loss=own_things:focal  reference \w+  ok, 1\d checks\n$", told)


@pytest.mark.parametrize(
    ("group", "name", "data", "form"),
    [
        ("metrics", "HitsOfOne", "iris", "one_hot"),
        ("loss", "one_column", "breast_cancer", "binary"),
    ],
)
def test_the_targets_of_a_reference_are_found_by_a_try_as_in_a_run(
    group: str, name: str, data: str, form: str, own: None
) -> None:
    from kexp.experiment import prepare
    from kexp.testing.contract import ComponentContract
    from kexp.testing.staging import stage

    chosen = (group, f"own_things:{name}", {})
    experiment = stage(*chosen)
    prepared = prepare(experiment)
    assert (experiment.data.name, prepared.targets["loss" if group == "loss" else "metrics.checked"]) == (data, form)
    contract, found = ComponentContract(), registry.find(group, chosen[1])
    contract.test_an_unknown_parameter_is_refused(chosen, found, [])
    contract.test_builds_what_its_group_promises(experiment, chosen)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["own_things:number"], "own_things:number of reference"),
        (["own_things:absent"], "has no attribute 'absent'"),
        (["no_such_module:x"], "No module named 'no_such_module'"),
        (["own_things:three"], "the group of own_things:three is not known"),
        (["optimiser"], "GROUP: there is no group 'optimiser'; did you mean 'optimizer'?"),
        (["launcher", "seriall"], "did you mean 'serial'?"),
        (["loss", "own_things:focal", "gamma"], "KEY=VALUE: must be a parameter and its value"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, own: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = check(capsys, *arguments)
    assert code == 2
    assert sentence in told
    assert told.count("\n") == 1
