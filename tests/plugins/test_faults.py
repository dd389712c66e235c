"""`kexp plugin check` on a package of faulty components: each fault is named with its rule, its package and version."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator

import pytest
from distributions import installed

from kexp import registry

SOURCE = """
import random

import numpy as np
import keras
from keras import ops

calls = []


@keras.saving.register_keras_serializable("their_faults")
class L1(keras.regularizers.Regularizer):
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, x):
        return self.factor * ops.sum(ops.abs(x))
    def get_config(self):
        return {"factor": self.factor}


def rows_without_seed(rows: int = 60):
    "Other rows at each call."
    x = np.random.default_rng().normal(size=(rows, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def rows_by_global_seed(rows: int = 60):
    "Rows that move with the experiment's seed."
    x = np.random.normal(size=(rows, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def split_at_random():
    "The same rows, in other parts at each call."
    x = np.random.default_rng(1).normal(size=(60, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    order = np.random.permutation(60)
    return {"train": (x[order[:40]], y[order[:40]]), "test": (x[order[40:]], y[order[40:]])}



def counter(learning_rate: float = 0.1):
    "An optimizer with a counter."
    calls.append(1)
    return keras.optimizers.SGD(learning_rate, momentum=0.01 * len(calls))


def hidden_counter(learning_rate: float = 0.1):
    "The counter is no part of its config."
    class Counting(keras.optimizers.SGD):
        pass
    calls.append(1)
    made = Counting(learning_rate)
    made.turn = len(calls)
    return made


def random_size(units: int = 4):
    "A layer of a random size."
    return keras.layers.Dense(units + random.randint(0, 10**6) % 97)


def any_size(spec):
    "A model of a random size."
    return keras.Sequential([keras.Input(spec.input_shape), keras.layers.Dense(int(np.random.randint(2, 99))),
                             keras.layers.Dense(spec.units, activation=spec.output_activation)])


class Unseeded(keras.initializers.Initializer):
    "Other values for the same seed."
    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(np.random.default_rng().normal(size=shape), dtype or "float32")


class IgnoresItsSeed(keras.initializers.Initializer):
    "The same values whatever its seed."
    def __init__(self, seed: int | None = None):
        self.seed = seed
    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(np.random.normal(size=shape), dtype or "float32")
    def get_config(self):
        return {"seed": self.seed}


def scalar(y_true, y_pred):
    "The mean of all rows."
    return ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred))


class ScalarLoss(keras.losses.Loss):
    "The mean of all rows, by a class."
    def call(self, y_true, y_pred):
        return ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred))


def drifting(y_true, y_pred):
    "A loss with a counter."
    calls.append(1)
    return len(calls) * ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred), axis=-1)


def counted_metric(y_true, y_pred):
    "A metric with a counter."
    calls.append(1)
    return len(calls) + ops.zeros_like(y_pred[..., 0])


def wandering(x):
    "An activation with a random slope."
    return x * random.random()


def growing(factors: list = [0.1]):
    "A list that grows with each call."
    factors.append(0.1)
    return L1(sum(factors[:1]))


def mapping(factors: dict = {"l1": 0.1}):
    "A mapping that a call changes."
    factors["seen"] = 1
    return L1(factors["l1"])


def unordered(factors: set = {0.1}):
    "A set, which no config holds."
    return L1(0.1)


class Collecting(keras.callbacks.Callback):
    "Keeps what it saw in the list that it was given."
    def __init__(self, seen: list = []):
        super().__init__()
        self.seen = seen
    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)


def patient(most: int = 3):
    "A callback with a random patience."
    made = keras.callbacks.Callback()
    made.patience = random.randint(0, 10**6)
    return made


def good(l1: float = 0.1):
    "Nothing is wrong with it."
    return L1(l1)
"""
EACH = "makes a different object at each call from the same parameters: "
FAULTS = {
    "data=rows_without_seed": f"{EACH}its content: ",
    "data=rows_by_global_seed": f"{EACH}its content: ",
    "data=split_at_random": f"{EACH}its content: ",
    "optimizer=counter": f"{EACH}0.config.momentum: ",
    "optimizer=hidden_counter": f"{EACH}0.turn: ",
    "layer=random_size": f"{EACH}0.",
    "model=any_size": f"{EACH}0.",
    "initializer=Unseeded": "must return the same values for the same seed, got others",
    "initializer=IgnoresItsSeed": "must return the same values for the same parameter seed",
    "loss=scalar": "a loss must return one value per row, shape (7,), and leave the mean to Keras",
    "loss=ScalarLoss": "a loss must return one value per row, shape (7,), and leave the mean to Keras",
    "loss=drifting": f"{EACH}its values: ",
    "metrics=counted_metric": f"{EACH}its result: ",
    "activation=wandering": f"{EACH}its values: ",
    "regularizer=growing": "changes a shared list or mapping among its arguments or defaults: ",
    "regularizer=mapping": "changes a shared list or mapping among its arguments or defaults: ",
    "regularizer=unordered": "defaults must be numbers, text, lists, mappings or null: factors",
    "callbacks=patient": f"{EACH}0.patience: ",
    "regularizer=two words": "the name 'two words' cannot be typed as a config option",
    "regularizer=with.dot": "the name 'with.dot' cannot be typed as a config option: a dot separates keys",
    "regularizer=1st": "the name '1st' cannot be typed as a config option",
}
# Collecting changes the list that it is given, which is its own: each component has a copy of the config's values.
GOOD = ("regularizer=good", "callbacks=Collecting")
UNTYPED = {"two words": "again", "with.dot": "once_more", "1st": "first"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What is printed of each component, by its title; all are checked at once."""
    from kexp.testing import installed as suite

    titles = [*FAULTS, *GOOD]
    entries: dict[str, dict[str, str]] = {}
    for group, name in (title.split("=") for title in titles):
        entries.setdefault(f"kexp.{group}", {})[name] = f"their_faults:{UNTYPED.get(name, name)}"
    with installed(tmp_path_factory.mktemp("site") / "at", "their-faults", {"their_faults": SOURCE}, entries):
        found = [registry.find(*title.split("=")) for title in titles]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert suite.check(found) == 1
    parts = re.split(r"^(?=\w+=)", out.getvalue(), flags=re.MULTILINE)
    yield {title: part for part in parts for title in titles if part.startswith(f"{title} ")}


@pytest.mark.parametrize("title", FAULTS)
def test_each_fault_is_named_with_its_rule_and_package(title: str, told: dict[str, str]) -> None:
    assert re.match(rf"{re.escape(title)} +their-faults 1\.0  FAILED\n", told[title])
    assert FAULTS[title] in told[title]


@pytest.mark.parametrize("title", GOOD)
def test_what_is_as_it_should_be_is_ok_beside_them(title: str, told: dict[str, str]) -> None:
    assert re.match(rf"{title} +their-faults 1\.0  ok, \d+ checks\n$", told[title])


@pytest.mark.parametrize("name", ["two words", "a.b", "a/b", "a:b", "a=b", "a,b", "9lives", "-x", "x@y", "true", "7"])
def test_a_name_that_hydra_reads_otherwise_is_refused(name: str) -> None:
    from kexp.testing.naming import typing_problem

    assert typing_problem(name) is not None


@pytest.mark.parametrize("name", ["adam", "Dense", "he_normal", "my-opt", "x2", "_own", "LSTM"])
def test_a_name_that_hydra_takes_is_fine(name: str) -> None:
    from kexp.testing.naming import typing_problem

    assert typing_problem(name) is None
