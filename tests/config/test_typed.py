"""What people type at first: a run, or one sentence that says what to write."""

from __future__ import annotations

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from kexp.config import as_choice, as_typed, compose, explain, plain, prepare_overrides
from kexp.errors import ConfigError
from kexp.schema import Experiment, check

SAID = {
    "callbacks=none": "callbacks: there is no callback 'none'; callbacks=[] is none",
    "metrics=[none]": "metrics: there is no metric 'none'; metrics=[] is none",
    "tracking=off": "tracking: there is no tracking 'off'; write tracking=none",
    "save=false": "save: must be the name of an option, got false; write save=none",
    "model=Dense": "model: there is no model 'Dense'; it is a layer, chosen in model.layers, with model=sequential",
    "loss=auc": "loss: there is no loss 'auc'; it is a metric, chosen by metrics=[auc]",
    "metrics=adam": "metrics: there is no metric 'adam'; it is an optimizer, chosen by optimizer=adam",
    "optimizer=keras.optimizers.Adam": "optimizer: there is no optimizer 'keras.optimizers.Adam'; write optimizer=Adam",
    "optimizer=sgd(lr=0.1)": (
        "optimizer: there is no optimizer 'sgd(lr=0.1)'; with parameters it is written "
        "optimizer={name: sgd, KEY: VALUE}"
    ),
    "data=~/x.csv": "data: there is no data '~/x.csv'; a file is its path, data=csv data.path=~/x.csv",
    "optimizer={name=sgd}": (
        "optimizer: a mapping is written {KEY: VALUE}, got {name=sgd}; as one text, in quotes: "
        "\"optimizer='{name=sgd}'\""
    ),
    "+epochs=3": "epochs: there is no key 'epochs'; did you mean trainer.epochs=3?",
    "+trainer.epochs=3": "trainer.epochs: is there already; write trainer.epochs=3, without a plus",
    "metrics=f1": "metrics: there is no metric 'f1'; did you mean 'f1_score'?",
    "metrics=rmse": "metrics: there is no metric 'rmse'; did you mean 'root_mean_squared_error'?",
    "++batch_size=8": "batch_size: there is no key 'batch_size'; did you mean trainer.batch_size=8?",
    "batch-size=8": "batch-size: there is no key 'batch-size'; did you mean trainer.batch_size=8?",
    "Trainer.epochs=3": "Trainer: there is no key 'Trainer'; did you mean trainer.epochs=3?",
    "trainer/epochs=3": "trainer/epochs: there is no key 'trainer/epochs'; did you mean trainer.epochs=3?",
    "trainer-epochs=3": "trainer-epochs: there is no key 'trainer-epochs'; did you mean trainer.epochs=3?",
    "optimizer.learning-rate=1": (
        "optimizer.learning-rate: there is no parameter of optimizer adam 'learning-rate'; did you mean "
        "optimizer.learning_rate=1?"
    ),
    "test_size=0.3": "test_size: there is no key 'test_size'; did you mean data.test_split=0.3?",
    "data.sep=a": (
        "data.sep: there is no parameter of data digits 'sep'; did you mean 'delimiter', a parameter of data csv, "
        "table or series?"
    ),
    "optimiser.lr=0.1": "optimiser: there is no key 'optimiser'; did you mean optimizer.lr=0.1?",
    "callbacks.EarlyStopping.patience=3": (
        "callbacks.EarlyStopping: early_stopping is not chosen; choose it by callbacks=[early_stopping]"
    ),
    "~optimizer": "optimizer: cannot be removed; choose another",
    "seed=null": "seed: must be a whole number, got null",
    "seed=True": "seed: must be a whole number, got true",
}


def checked(*overrides: str) -> Experiment:
    try:
        return check(plain(compose(prepare_overrides(overrides))))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, overrides) from error


@pytest.mark.parametrize("typed", SAID)
def test_what_cannot_be_is_told_with_what_to_write(typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(typed)
    assert str(caught.value) == SAID[typed]


@pytest.mark.parametrize(
    ("typed", "plainly"),
    [
        ('optimizer={"name": "sgd", "momentum": 0.9}', "optimizer={name: sgd, momentum: 0.9}"),
        ("optimizer={'name': 'sgd'}", "optimizer={name: sgd}"),
        ('trainer={"epochs": 3}', "trainer.epochs=3"),
        ('metrics=[{"name": "auc", "curve": "PR"}]', "metrics=[{name: auc, curve: PR}]"),
        ('trainer.class_weight={"0": 1, "1": 2}', "trainer.class_weight={0: 1, 1: 2}"),
        ("optimizer={name: auto}", "optimizer=auto"),
    ],
)
def test_a_mapping_may_be_written_as_in_json(typed: str, plainly: str) -> None:
    assert checked(typed) == checked(plainly)


@pytest.mark.parametrize(
    "typed",
    ["optimizer={name: sgd}", "optimizer={name: sgd, momentum: 0.9}", "metrics=[auc,{auc_1: {name: auc, curve: PR}}]"],
)
def test_an_option_is_shown_as_it_was_typed(typed: str) -> None:
    assert as_choice(typed) != typed
    assert as_typed(as_choice(typed)).replace(", {", ",{") == typed


def test_a_reference_of_a_sweep_is_shown_without_hydras_escape() -> None:
    assert as_typed(r"loss=own\:squared") == "loss=own:squared"
