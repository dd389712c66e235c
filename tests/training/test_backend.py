"""A process's backend: chosen once, quiet, seeded. In processes of their own, since a process has one backend."""

from __future__ import annotations

import subprocess
import sys

import keras
import pytest

from kexp import training
from kexp.errors import ConfigError

PROGRAM = """
import sys
from kexp import training
backend, kind, steps = sys.argv[1:]
training.prepare_backend(backend)
import keras
from kexp.data import as_data, feed, split
from kexp.data.sources.builtin import digits

def trained():
    training.seed_everything(3)
    splits = split(as_data(digits()), test=0.2, validation=0.2, seed=3)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((64,)), layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(10, "softmax")]
    )
    plan = training.Plan(epochs=2)
    batches = feed(splits.train, kind=kind, batch_size=32, seed=3, epochs=2)
    loss = "sparse_categorical_crossentropy"
    training.compile_model(model, plan, batches.steps_per_epoch, optimizer="adam", loss=loss, metrics=["accuracy"])
    held_out = feed(splits.validation, kind=kind, batch_size=32, shuffle=False)
    with training.progress(2, verbose=int(steps)) as teller:
        history = training.fit(model, batches, held_out, plan, listeners=[teller])
    predicted = training.predict(model, held_out, len(splits.validation))
    return history.epochs, training.evaluate(model, held_out), predicted.sum()

first, second = trained(), trained()
assert repr(first) == repr(second), (first, second)
print(first, "tensorflow" in sys.modules, "jax" in sys.modules)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)


def test_histories_are_identical_in_one_process_and_in_two_and_nothing_else_is_written() -> None:
    """Without the settings of the test process, and with warnings shown as Python shows them."""
    silent, told = run("tensorflow", "tfdata", "0"), run("tensorflow", "numpy", "2")
    assert silent.stdout == told.stdout
    assert silent.stderr == ""
    lines = told.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"] * 2


def test_jax_trains_from_numpy_without_tensorflow_and_quietly() -> None:
    done = run("jax", "numpy", "0")
    assert done.stdout.endswith("False True\n")
    assert done.stderr == ""


def test_a_process_of_kexps_own_leaves_out_what_others_want_of_keras_and_can_import_it_all_the_same() -> None:
    program = """
import sys, threading
from kexp import training
found = []
other = threading.Thread(target=lambda: found.append(__import__("pandas")))
training.own_process()
other.start()
training.prepare_backend("jax")
other.join()
print("sklearn" in sys.modules, "matplotlib" in sys.modules, found[0].__name__)
import sklearn.tree
import matplotlib.figure
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "False False pandas\n"
    assert done.stderr == ""


def test_another_backend_than_this_process_has_is_refused() -> None:
    other = "jax" if keras.config.backend() == "tensorflow" else "tensorflow"
    with pytest.raises(ConfigError, match=f"cannot change to {other}"):
        training.prepare_backend(other)


def test_a_backend_that_is_not_installed_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"torch is not installed; pip install 'kexp\[torch\]'"):
        training.prepare_backend("torch")
