"""Every text that Keras takes for a component is a name here."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import kexp
from kexp import registry

MODULES = {
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
    "activation": "activations",
    "loss": "losses",
    "metrics": "metrics",
    "optimizer": "optimizers",
}
# Base classes, and what wraps others.
NO_COMPONENTS = {"Initializer", "Regularizer", "Constraint", "Loss", "LossFunctionWrapper", "Metric", "Mean", "Sum"}
NO_COMPONENTS |= {"MeanMetricWrapper", "Optimizer", "LossScaleOptimizer", "OptimizerMap", "MultiOptimizer"}


@pytest.mark.parametrize("group", MODULES)
def test_what_keras_takes_is_a_name_of_the_same_thing(group: str) -> None:
    table = importlib.import_module(f"keras.src.{MODULES[group]}").ALL_OBJECTS_DICT
    checked = 0
    for text, theirs in table.items():
        if theirs.__name__ in NO_COMPONENTS:
            continue
        component = registry.find(group, text)
        ours = component.target.rpartition(":")[2]
        assert registry.offers(group, text)
        assert registry.find(group, component.name).target == component.target
        folded = {each.replace("_", "").lower() for each in (ours, component.name)}
        known = {theirs.__name__.replace("_", "").lower(), *_ALSO.get(theirs.__name__.replace("_", "").lower(), ())}
        assert folded & known, (text, component)
        checked += 1
    assert checked > 2


# What the catalogue calls otherwise.
_ALSO = {
    "huber": ("huberloss",),
    "silu": ("swish",),
    "hardsilu": ("hardswish",),
    "kldivergence": ("kullbackleiblerdivergence",),
    "cosinesimilarity": ("cosineproximity",),
}


def test_looking_up_a_second_name_imports_no_keras() -> None:
    code = (
        "import sys; from kexp import registry; print(registry.find('loss', 'mse').name, "
        "registry.find('optimizer', 'RMSprop').name, registry.find('metrics', 'acc').name, 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["mean_squared_error", "rmsprop", "accuracy", "False"]


def test_layers_with_such_defaults_train(workplace: Path) -> None:
    layers = "[{name: Embedding, input_dim: 20, output_dim: 4}, Flatten, {name: Dense, units: 4}, PReLU]"
    common = ["tracking=none", "save=none", "trainer.verbose=0", "trainer.epochs=1"]
    result = kexp.run(["data=digits", "model=sequential", f"model.layers={layers}", *common])
    assert 0 < result.metrics["test_loss"] < 10
