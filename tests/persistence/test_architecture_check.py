"""What an architecture of unknown origin may say; decided without Keras."""

from __future__ import annotations

import copy
import json

import pytest

from kexp.errors import LoadError
from kexp.persistence import KNOWN_LAYERS, architecture_config, check_architecture, model_from_architecture
from kexp.persistence.untrusted.bounds import largest_sizes


def _models():
    from keras import Sequential, initializers, layers, mixed_precision, regularizers

    image, series, plain = layers.Input((9, 8, 3)), layers.Input((6, 4)), layers.Input((5,))
    return {
        "dense": [
            plain,
            layers.Normalization(mean=[0.0] * 5, variance=[1.0] * 5),
            layers.Dense(4, "gelu", kernel_initializer=initializers.HeNormal(seed=2**40), bias_regularizer="l1"),
            layers.PReLU(),
            layers.Dense(3, kernel_regularizer=regularizers.L1L2(0.1, 0.2), kernel_constraint="max_norm"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Softmax(),
        ],
        "convolution": [
            image,
            layers.ZeroPadding2D(((1, 2), (3, 4))),
            layers.AveragePooling2D(2, strides=1, padding="same"),
            layers.Conv2D(5, (3, 2), padding="same", dilation_rate=2),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(2, depth_multiplier=3),
            layers.SeparableConv2D(4, 2),
            layers.Conv2DTranspose(2, 3, strides=2),
            layers.UpSampling2D(2),
            layers.Flatten(),
            layers.Dense(2),
        ],
        "pooled": [image, layers.Rescaling(1 / 255), layers.Conv2D(4, 1), layers.GlobalMaxPooling2D(), layers.Dense(2)],
        "recurrent": [
            series,
            layers.Masking(),
            layers.LSTM(5, return_sequences=True),
            layers.GRU(4, return_sequences=True),
            layers.LayerNormalization(),
            layers.SimpleRNN(3),
            layers.RepeatVector(2),
            layers.Permute((2, 1)),
            layers.Reshape((-1,)),
            layers.Dense(2, dtype=mixed_precision.DTypePolicy("mixed_float16")),
        ],
        "embedded": [layers.Input((7,)), layers.Embedding(11, 6), layers.Conv1D(3, 2), layers.GlobalAveragePooling1D()],
    }, Sequential


@pytest.fixture(scope="module")
def configs():
    layers, sequential = _models()
    models = {name: sequential(each) for name, each in layers.items()}
    return {name: (architecture_config(model), model) for name, model in models.items()}


@pytest.mark.parametrize("name", ["dense", "convolution", "pooled", "recurrent", "embedded"])
def test_ordinary_model_passes_and_its_size_is_bounded_from_above(name, configs):
    """In the form that JSON files have and in the one that whole-model HDF5 files have, with no module names."""
    config, model = configs[name]
    check_architecture(config)
    check_architecture(_legacy(config))
    layers = [(layer["class_name"], layer["config"]) for layer in config["config"]["layers"]]
    weights, elements = largest_sizes(layers, model.input_shape[1:])
    assert model.count_params() <= weights <= 5 * model.count_params()
    assert elements >= max(_size(layer.output.shape[1:]) for layer in model.layers)
    assert model_from_architecture(config).count_params() == model.count_params()


def test_every_known_layer_is_a_class_of_keras():
    import keras

    assert {name for name in KNOWN_LAYERS if not isinstance(getattr(keras.layers, name, None), type)} == set()


def _edit(path, value):
    def edit(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = value

    return edit


DENSE = ("config", "layers", 2)
EVIL = {"module": "os", "class_name": "system", "config": {}, "registered_name": None}
REFUSED = {
    "functional": (_edit(("class_name",), "Functional"), "only a flat Sequential"),
    "subclass": (_edit(("module",), "my_package.models"), "model.module: must be one of Keras' own"),
    "registered": (_edit(("registered_name",), "evil>Sequential"), "model.registered_name"),
    "nested": (_edit((*DENSE, "class_name"), "Sequential"), r"model\.layers\[2\]: not a layer that is loaded"),
    "wrapper": (_edit((*DENSE, "class_name"), "TimeDistributed"), "not a layer that is loaded"),
    "lambda": (_edit((*DENSE, "class_name"), "Lambda"), "not a layer that is loaded"),
    "operation": (_edit((*DENSE, "class_name"), "set_floatx"), "not a layer that is loaded"),
    "vocabulary": (_edit((*DENSE, "class_name"), "StringLookup"), "not a layer that is loaded"),
    "layer_module": (_edit((*DENSE, "module"), "os"), r"layers\[2\]\.module: must be one of Keras' own, got 'os'"),
    "layer_module_alike": (_edit((*DENSE, "module"), "keras_evil.layers"), r"layers\[2\]\.module"),
    "layer_registered": (_edit((*DENSE, "registered_name"), "evil>Dense"), r"layers\[2\]\.registered_name"),
    "activation": (
        _edit((*DENSE, "config", "activation"), "rel"),
        "activation: 'rel'; did you mean 'relu'",
    ),
    "activation_object": (_edit((*DENSE, "config", "activation"), EVIL), "not a known activation"),
    "activation_lambda": (
        _edit((*DENSE, "config", "activation"), {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}),
        "not a known activation",
    ),
    "initializer": (_edit((*DENSE, "config", "kernel_initializer"), EVIL), "not known: 'system'"),
    "initializer_name": (_edit((*DENSE, "config", "kernel_initializer"), "evil"), "not known: 'evil'"),
    "initializer_module": (
        _edit((*DENSE, "config", "kernel_initializer", "module"), "os"),
        r"kernel_initializer\.module: must be one of Keras' own",
    ),
    "initializer_argument": (
        _edit((*DENSE, "config", "kernel_initializer", "config", "seed"), EVIL),
        "an object inside",
    ),
    "constraint": (_edit((*DENSE, "config", "kernel_constraint"), EVIL), "not known"),
    "other_object": (_edit((*DENSE, "config", "units"), EVIL), "not known"),
    "object_in_list": (_edit((*DENSE, "config", "units"), [EVIL]), "an object inside this argument"),
    "build_config": (_edit((*DENSE, "build_config"), {"input_shape": EVIL}), "an object inside this argument"),
    "envelope": (_edit((*DENSE, "fn"), "x"), "unexpected key 'fn'"),
    "not_a_layer": (_edit(DENSE, "Dense"), "must be a mapping with class_name and config"),
    "no_layers": (_edit(("config", "layers"), []), "must be a list of 1 to 1000 layers"),
    "huge_units": (_edit((*DENSE, "config", "units"), 10**10), r"units: must be at most 65536, got 10000000000"),
    "huge_float": (_edit((*DENSE, "config", "units"), float("inf")), "must be finite"),
    "huge_list": (_edit((*DENSE, "config", "units"), [0] * 200_000), "moderate size"),
    "deep_list": (_edit((*DENSE, "config", "units"), [[[[[[[[1]]]]]]]]), "moderate size"),
    "text": (_edit((*DENSE, "config", "name"), "a\nb{c}"), "not a plain word"),
    "text_units": (_edit((*DENSE, "config", "units"), "many"), "do not fit together"),
    "kind": (_edit((*DENSE, "class_name"), {}), "must be a mapping with class_name and config"),
    "kind_in_a_part": (_edit((*DENSE, "config", "kernel_initializer", "class_name"), []), "must be a mapping"),
    "activation_module": (
        _edit((*DENSE, "config", "activation"), {"class_name": "function", "module": [], "config": "relu"}),
        "not a known activation",
    ),
    "no_units": (lambda config: config["config"]["layers"][2]["config"].pop("units"), "do not fit together"),
    "shape": (_edit(("config", "layers", 0, "config", "batch_shape"), [None, -5]), "must be a list of positive sizes"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_anything_else_is_refused_with_its_place(case, configs):
    edit, message = REFUSED[case]
    config = copy.deepcopy(configs["dense"][0])
    edit(config)
    with pytest.raises(LoadError, match=message):
        check_architecture(config)


def test_many_moderate_layers_are_too_large_together():
    """No single argument is out of bounds; the product of two is."""
    dense = {"class_name": "Dense", "config": {"units": 60_000}}
    config = {"class_name": "Sequential", "config": {"layers": [dense, dense], "build_input_shape": [None, 2]}}
    with pytest.raises(LoadError, match="may have at most 100000000 weights, this one could have 3600240000"):
        check_architecture(config)
    grow = {"class_name": "UpSampling1D", "config": {"size": 60_000}}
    config = {"class_name": "Sequential", "config": {"layers": [grow], "build_input_shape": [None, 60_000, 1]}}
    with pytest.raises(LoadError, match="may hold at most 100000000 values an example"):
        check_architecture(config)


def test_ordinary_image_classifier_is_not_too_large():
    """Stages of a common design: sizes follow strides and pooling, or this would be refused."""
    from keras import Sequential, layers

    stages = [layers.Input((224, 224, 3))]
    for filters in (32, 64, 128, 256):
        stages += [layers.Conv2D(filters, 3, padding="same"), layers.BatchNormalization(), layers.MaxPooling2D()]
    model = Sequential(
        [*stages, layers.Conv2D(256, 3, strides=2), layers.Flatten(), layers.Dense(256), layers.Dense(10)]
    )
    check_architecture(architecture_config(model))


def test_layer_of_the_caller_is_known_when_named(configs):
    config = copy.deepcopy(configs["dense"][0])
    config["config"]["layers"][5].update(class_name="Mine", module="my_package", registered_name="my_package>Mine")
    with pytest.raises(LoadError, match="'Mine'"):
        check_architecture(config)
    check_architecture(config, known_layers={*KNOWN_LAYERS, "Mine"})


def _legacy(config):
    """As whole-model HDF5 files have it: class names and configs alone."""
    plain = json.loads(json.dumps(config))
    for node in (plain, *plain["config"]["layers"]):
        for key in ("module", "registered_name", "build_config"):
            node.pop(key, None)
    return plain


def _size(shape):
    total = 1
    for size in shape:
        total *= size or 1
    return total
