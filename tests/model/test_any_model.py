"""Models that are no Sequential of kexp's: trained as plain Keras trains them, saved, read back by another process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import own_models
import pytest

import kexp
from kexp.config import compose, plain
from kexp.errors import ComponentError, ConfigError
from kexp.experiment import feeds, prepare
from kexp.model import ModelSpec
from kexp.model.check import check_model
from kexp.schema import check
from kexp.training.process.initial_values import initial_values

SHORT = ["data=iris", "trainer.epochs=3", "trainer.verbose=0", "seed=3", "tracking.figures=false"]
TRAINED = ("two_ways", "Residual", "stacked", "Weighed", "by_lambda", "ready", "shared_and_nested")
READ = """
import json, sys
import numpy as np
import kexp

for run, expected in json.load(open("expected.json")).items():
    got = kexp.load_model(run).predict(np.load("rows.npy"), verbose=0)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    print(run)
"""


def by_hand(name: str) -> keras.Model:
    """The same training as people write it, on the same rows in the same order."""
    prepared = prepare(check(plain(compose([*SHORT, f"model=own_models:{name}"]))))
    train = feeds(prepared)[0]
    x, y = prepared.splits.train.batch(np.arange(len(prepared.splits.train)))
    made = getattr(own_models, name)
    with initial_values(3):
        model = keras.models.clone_model(made) if isinstance(made, keras.Model) else made()
        model(np.zeros((1, 4), np.float32))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt(x)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for epoch in range(3):
        order = train.order(epoch)
        model.fit(x[order], y[order], batch_size=32, epochs=1, shuffle=False, verbose=0)
    return model


def test_models_train_as_by_hand_and_another_process_reads_them_back(workplace: Path) -> None:
    rows = np.random.default_rng().uniform(0, 7, size=(9, 4)).astype(np.float32)
    expected = {}
    for name in TRAINED:
        result = kexp.run([*SHORT, f"model=own_models:{name}"])
        predicted = result.model.predict(rows, verbose=0)
        np.testing.assert_allclose(
            predicted, by_hand(name).predict(rows, verbose=0), rtol=1e-4, atol=1e-5, err_msg=name
        )
        expected[result.run_id] = predicted.tolist()
    Path("expected.json").write_text(json.dumps(expected))
    np.save("rows.npy", rows)
    path = os.pathsep.join([str(Path(own_models.__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(expected)


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("two_ways", {"model.h5", "model.weights.h5", "model.json"}),
        ("Residual", {"model.weights.h5", "model.json"}),
        ("Weighed", {"model.weights.h5"}),
        ("by_lambda", {"model.weights.h5"}),
    ],
)
def test_of_the_default_formats_those_are_written_that_hold_the_model(
    workplace: Path, capsys: pytest.CaptureFixture[str], name: str, held: set[str]
) -> None:
    quiet = [each for each in SHORT if "verbose" not in each]
    result = kexp.run([*quiet, "trainer.verbose=2", f"model=own_models:{name}", "tracking=none", "save.model=false"])
    assert {path.name for path in result.saved} == held
    said = capsys.readouterr().out
    left_out = {"model.h5": "h5", "model.json": "json"}
    for file, word in left_out.items():
        told = re.findall(rf"save +(?:.*[ ,])?{word}(?: and .*|, .*)? cannot hold model=own_models:{name} ", said)
        assert len(told) == (file not in held), said
    reasons = re.findall(rf"cannot hold model=own_models:{name} and (?:is|are) left out: (.*)", said)
    assert len(set(reasons)) == len(reasons), said  # a line for each reason


@pytest.mark.parametrize(
    ("name", "format", "reason"),
    [
        ("Residual", "h5", "a class with a call of its own"),
        ("Weighed", "json", "get_config"),
        ("Weighed", "yaml", "get_config"),
        ("Weighed", "keras", "get_config"),
        ("by_lambda", "keras", "a Lambda layer of a Python lambda"),
    ],
)
def test_a_chosen_format_that_cannot_hold_the_model_is_refused_before_training(
    workplace: Path, name: str, format: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"save.formats: {format} cannot hold model=own_models:{name}: .*{reason}"):
        kexp.run([*SHORT, f"model=own_models:{name}", f"save.formats=[weights,{format}]"])
    assert not (workplace / "outputs").exists() or not list((workplace / "outputs").rglob("config.yaml"))


@pytest.mark.parametrize(
    ("name", "said", "kind"),
    [
        ("two_inputs", r"model: must have one input, got 2 of the shapes \(None, 4\), \(None, 4\)", ConfigError),
        ("two_outputs", "model: must have one output, got 2 of the shapes", ConfigError),
        ("Pair", r"model: must have one output, Pair.call gives 2 of the shapes", ConfigError),
        ("Wide", r"model: must end in the shape \(None, 3\) that data and loss ask for, got \(None, 5\)", ConfigError),
        ("of_five", r"model: takes rows of shape \(5,\), but the data's rows have shape \(4,\)", ConfigError),
        ("number", "must return a keras.Model, got int", ComponentError),
    ],
)
def test_what_cannot_be_a_model_of_the_data_is_refused_in_a_sentence(
    workplace: Path, name: str, said: str, kind: Any
) -> None:
    with pytest.raises(kind, match=said) as caught:
        kexp.run([*SHORT, f"model=own_models:{name}"])
    assert "\n" not in str(caught.value)


def test_open_sizes_of_a_model_follow_from_the_rows() -> None:
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, keras.layers.UpSampling2D(3)(keras.layers.Conv2D(1, 3, padding="same")(inputs)))
    assert check_model(model, ModelSpec((8, 8, 1), (8, 8, 1), 1, None, positions=(24, 24))) is model
    with pytest.raises(ConfigError, match=r"\(None, 20, 20, 1\) that data and loss ask for, got \(None, 24, 24, 1\)"):
        check_model(model, ModelSpec((8, 8, 1), (8, 8, 1), 1, None, positions=(20, 20)))
