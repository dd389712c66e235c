"""Each format keeps what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kexp.errors import ConfigError, LoadError
from kexp.persistence import architecture_config, check_formats, load_model, restore_optimizer, save_model, set_weights
from kexp.persistence.formats.onnx_format import onnx_format

NAMES = ["h5", "weights", "json", "yaml", "keras", "tf_checkpoint", "saved_model"]
FILES = {
    "h5": "model.h5",
    "weights": "model.weights.h5",
    "json": "model.json",
    "yaml": "model.yaml",
    "keras": "model.keras",
    "tf_checkpoint": "checkpoint",
    "saved_model": "saved_model",
}


@pytest.mark.parametrize("name", NAMES)
def test_format_reads_back_as_the_same_model(name, model, formats, probe, tmp_path):
    """Predictions are equal to the bit wherever the layers are kept; the file has the promised name."""
    (path,) = save_model(model, tmp_path, {name: formats[name]}, probe)
    loaded = load_model(tmp_path, name, formats[name], architecture=lambda: _twin(model))
    if name in {"json", "yaml"}:
        set_weights(loaded, model.get_weights())
    predictions, expected = np.asarray(loaded(probe)), np.asarray(model(probe, training=False))
    assert path == tmp_path / FILES[name]
    assert np.abs(predictions - expected).max() <= (1e-6 if name == "saved_model" else 0.0)
    if name != "saved_model":
        assert not loaded.compiled
        assert all(np.array_equal(*pair) for pair in zip(loaded.get_weights(), model.get_weights(), strict=True))


def test_saving_prints_nothing(model, formats, probe, tmp_path, capfd):
    save_model(model, tmp_path, formats, probe)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["json", "yaml"])
def test_architecture_format_is_readable_by_keras(name, saved, model):
    import keras
    import yaml

    text = (saved / FILES[name]).read_text()
    config = json.loads(text) if name == "json" else yaml.safe_load(text)
    rebuilt = keras.models.model_from_json(json.dumps(config))
    assert architecture_config(rebuilt)["config"] == architecture_config(model)["config"]


@pytest.mark.parametrize("name", ["h5", "keras"])
def test_restored_optimizer_continues_as_if_never_saved(name, model, saved, formats, probe):
    """Two more updates from the file equal those of the original, to the bit."""
    import keras

    rng = np.random.default_rng()
    steps = [[rng.normal(size=variable.shape) for variable in model.trainable_variables] for _ in range(2)]
    copies = []
    for source in ("file", "original"):
        copy = load_model(saved, name, formats[name])
        copy.compile("adam", "sparse_categorical_crossentropy")
        if source == "file":
            assert restore_optimizer(copy, saved, formats[name])
        else:
            copy.optimizer.build(copy.trainable_variables)
            for mine, theirs in zip(copy.optimizer.variables, model.optimizer.variables, strict=True):
                mine.assign(theirs)
        for gradients in steps:
            copy.optimizer.apply([keras.ops.convert_to_tensor(each, "float32") for each in gradients])
        copies.append(copy.get_weights())
    assert all(np.array_equal(*pair) for pair in zip(*copies, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(copies[0], model.get_weights(), strict=True))


def test_restoring_another_optimizer_is_refused(saved, formats):
    model = load_model(saved, "h5", formats["h5"])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(LoadError, match="the state of another optimizer than "):
        restore_optimizer(model, saved, formats["h5"])


def test_restoring_from_weights_alone_says_that_there_is_no_state(saved, formats):
    model = load_model(saved, "weights", formats["weights"])
    model.compile("adam", "sparse_categorical_crossentropy")
    assert not restore_optimizer(model, saved, formats["weights"])


def test_h5_of_a_loss_by_short_name_loads_in_keras(tmp_path, formats, probe):
    """Keras saves "mse" and cannot read it again; the file gets the full name."""
    import keras

    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    save_model(model, tmp_path, {"h5": formats["h5"]}, probe)
    loaded = keras.saving.load_model(tmp_path / "model.h5")
    assert keras.losses.get(loaded.loss) is keras.losses.mean_squared_error


def test_weights_of_a_deeper_model_are_refused(tmp_path, formats, probe):
    """Keras loads a two-layer weights file into a one-layer model without a word."""
    import keras

    deep = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(4), keras.layers.Dense(4)])
    shallow = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(4)])
    save_model(deep, tmp_path, {"weights": formats["weights"]}, probe)
    with pytest.raises(LoadError, match="layers/dense_1/vars/0"):
        load_model(tmp_path, "weights", formats["weights"], architecture=lambda: shallow)


def test_set_weights_renews_the_constants_of_normalization(model, probe):
    """`Model.set_weights` alone leaves Normalization computing with what it had before."""
    twin = _twin(model)
    set_weights(twin, model.get_weights())
    assert np.array_equal(np.asarray(twin(probe)), np.asarray(model(probe)))


def test_mixed_precision_model_is_saved_with_its_loss_scale(tmp_path, formats):
    import keras

    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3, dtype=policy), keras.layers.Dense(2, dtype="float32")]
    model = keras.Sequential(layers)
    model.compile(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam()), "mean_squared_error")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng()
    for variable in model.optimizer.variables:
        variable.assign(rng.integers(1, 99, variable.shape) if "int" in variable.dtype else rng.random(variable.shape))
    x = rng.normal(size=(8, 4)).astype("float32")
    chosen = {name: formats[name] for name in ("h5", "weights", "json", "keras")}
    assert len(save_model(model, tmp_path, chosen, x)) == 4


def test_custom_layer_is_saved_without_being_registered(tmp_path, formats, probe):
    import keras

    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    model = keras.Sequential([keras.layers.Input((5,)), Doubled(), keras.layers.Dense(2)])
    chosen = {name: formats[name] for name in ("h5", "json", "keras")}
    save_model(model, tmp_path, chosen, probe)
    loaded = load_model(tmp_path, "keras", formats["keras"], custom_objects={"Doubled": Doubled})
    assert np.array_equal(np.asarray(loaded(probe)), np.asarray(model(probe)))


def test_format_of_another_backend_is_refused_before_compute(formats):
    with pytest.raises(
        ConfigError, match=r"save\.formats: tf_checkpoint needs backend=tensorflow, got 'jax'"
    ) as caught:
        check_formats({"tf_checkpoint": formats["tf_checkpoint"]}, "jax")
    assert caught.value.exit_code == 2
    check_formats(formats, "tensorflow")


def test_missing_package_is_named_with_the_command_that_installs_it():
    needy = onnx_format()
    needy.requires_package = (("no_such_package",), "pip install 'kexp[onnx]'")
    with pytest.raises(ConfigError, match=r"onnx needs no_such_package; install with: pip install 'kexp\[onnx\]'"):
        check_formats({"onnx": needy}, "tensorflow")


def test_two_formats_of_one_file_are_refused(formats):
    with pytest.raises(ConfigError, match=r"h5 and mine both write model\.h5"):
        check_formats({"h5": formats["h5"], "mine": formats["h5"]}, "tensorflow")


@pytest.mark.optional
@pytest.mark.parametrize("kind", ["dense", "convolution", "recurrent", "unbounded_steps"])
def test_onnx_predicts_the_same(kind, tmp_path, model, probe):
    """Normalization and recurrent layers too, which tf2onnx alone turns into further inputs of the graph."""
    import keras

    layers, rng = keras.layers, np.random.default_rng()
    if kind == "convolution":
        model = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2)])
        probe = rng.normal(size=(4, 8, 8, 1)).astype("float32")
    elif kind != "dense":
        steps = 6 if kind == "recurrent" else None
        model = keras.Sequential([layers.Input((steps, 3)), layers.Normalization(), layers.LSTM(4), layers.Dense(2)])
        probe = rng.normal(size=(4, 6, 3)).astype("float32")
        model.layers[0].adapt(probe)
    save_model(model, tmp_path, {"onnx": onnx_format()}, probe)
    predictor = load_model(tmp_path, "onnx", onnx_format())
    assert np.allclose(predictor(probe), np.asarray(model(probe)), atol=1e-4)


def test_importing_persistence_imports_nothing_heavy():
    heavy = "{'keras', 'tensorflow', 'jax', 'numpy', 'h5py', 'yaml', 'mlflow'}"
    names = [
        "h5",
        "weights",
        "json_format",
        "yaml_format",
        "keras_format",
        "tf_checkpoint",
        "saved_model",
        "onnx_format",
    ]
    code = f"""
import importlib, sys, kexp.persistence
for name in {names}:
    module = importlib.import_module("kexp.persistence.formats." + name)
    getattr(module, name)()
print(sorted({heavy} & set(sys.modules)))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def _twin(model):
    from kexp.persistence import model_from_architecture

    return model_from_architecture(architecture_config(model))
