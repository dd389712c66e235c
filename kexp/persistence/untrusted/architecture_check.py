"""Checks an architecture from an untrusted file before Keras reads it.

Keras blocks the known ways to run code from a config. A config can still change global settings through an operation
that no output uses, or request more memory than the machine has. Therefore only a flat Sequential of known layers with
plain arguments and bounded sizes is allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from kexp.errors import LoadError, suggestion
from kexp.persistence.untrusted.bounds import largest_sizes

__all__ = ["KNOWN_LAYERS", "check_architecture"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN_LAYERS = _names(
    "Activation ActivityRegularization AlphaDropout AveragePooling1D AveragePooling2D AveragePooling3D"
    " BatchNormalization CategoryEncoding Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose"
    " Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dropout ELU Embedding Flatten GRU"
    " GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"
    " GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity InputLayer LSTM"
    " LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Normalization PReLU Permute"
    " RMSNormalization ReLU RepeatVector Rescaling Reshape SeparableConv1D SeparableConv2D SimpleRNN Softmax"
    " SpatialDropout1D SpatialDropout2D SpatialDropout3D UnitNormalization UpSampling1D UpSampling2D"
    " UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"
)
_ACTIVATIONS = _names(
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear"
    " log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign"
    " sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold"
)
_PARTS = {
    "initializer": _names(
        "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform"
        " Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros"
    ),
    "regularizer": _names("L1 L1L2 L2 OrthogonalRegularizer"),
    "constraint": _names("MaxNorm MinMaxNorm NonNeg UnitNorm"),
}
_POLICIES = frozenset({"DTypePolicy"})
_TEXT = re.compile(r"[\w .:/+-]{0,128}")
_OBJECT_KEYS = frozenset(
    {"module", "class_name", "config", "registered_name", "build_config", "compile_config", "shared_object_id"}
)
_UNBOUNDED = frozenset({"seed", "shared_object_id"})
_MAX_LAYERS, _MAX_DEPTH, _MAX_ITEMS = 1_000, 6, 100_000
_MAX_SIZE = 65_536  # of an integer in any argument (units, filters, kernel sizes, ...), except seeds
_MAX_WEIGHTS = 100_000_000  # of the whole model
_MAX_ELEMENTS = 100_000_000  # of one example between two layers


def check_architecture(config: Mapping[str, Any], *, known_layers: Iterable[str] = KNOWN_LAYERS) -> None:
    """Refuses an architecture that is not a flat Sequential of known layers within bounds. Does not import Keras.

    Args:
        config: the content of `model.to_json()` as plain data. Its compile settings are not checked and must not be
            used.
        known_layers: class names of layers that may occur.

    Raises:
        LoadError: the config is refused; the message names the place in it.
    """
    known = frozenset(known_layers)
    inside = _arguments_of("model", config)
    if config.get("class_name") != "Sequential":
        raise LoadError(
            f"model: only a flat Sequential is loaded from an untrusted file, got {config.get('class_name')!r}"
        )
    _keras_only("model", config)
    _check_plain("model.build_config", config.get("build_config"))
    layers = inside.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= _MAX_LAYERS:
        raise LoadError(f"model.layers: must be a list of 1 to {_MAX_LAYERS} layers")
    for key, value in inside.items():
        if key != "layers":
            _check_argument(f"model.{key}", key, value)
    checked = [_layer(f"model.layers[{index}]", layer, known) for index, layer in enumerate(layers)]
    _check_sizes(checked, _input_shape(inside, checked))


def _layer(path: str, layer: Any, known: frozenset[str]) -> tuple[str, Mapping[str, Any]]:
    config = _arguments_of(path, layer)
    kind = layer.get("class_name")
    if kind not in known:
        raise LoadError(
            f"{path}: not a layer that is loaded from an untrusted file: {str(kind)[:80]!r}" + _suggestion(kind, known)
        )
    if kind in KNOWN_LAYERS:
        _keras_only(path, layer)
    _check_plain(f"{path}.build_config", layer.get("build_config"))
    for key, value in config.items():
        _check_argument(f"{path}.{str(key)[:80]}", key, value)
    return kind, config


def _arguments_of(path: str, node: Any) -> Mapping[str, Any]:
    """Returns the arguments of a serialised object, after checking that its keys are those that Keras writes."""
    named = isinstance(node, dict) and isinstance(node.get("class_name"), str)
    if not named or not isinstance(node.get("config"), dict):
        raise LoadError(f"{path}: must be a mapping with class_name and config")
    extra = sorted(str(key)[:80] for key in node if key not in _OBJECT_KEYS)
    if extra:
        raise LoadError(f"{path}: unexpected key {extra[0]!r}")
    config: Mapping[str, Any] = node["config"]
    return config


def _keras_only(path: str, node: Mapping[str, Any]) -> None:
    """Refuses other modules than Keras' own, because Keras imports the module that a config names."""
    module, registered = node.get("module"), node.get("registered_name")
    if not (
        module is None
        or (isinstance(module, str) and (module == "keras" or re.fullmatch(r"keras(\.[a-z_]+)+", module)))
    ):
        raise LoadError(f"{path}.module: must be one of Keras' own, got {str(module)[:80]!r}")
    if registered is not None and registered != node.get("class_name"):
        raise LoadError(f"{path}.registered_name: must be that of a Keras class, got {str(registered)[:80]!r}")


def _check_argument(path: str, key: Any, value: Any) -> None:
    """Checks an argument of a layer by its name and value.

    Raises:
        LoadError: the argument is not one that an untrusted file may have.
    """
    if not isinstance(key, str) or not _TEXT.fullmatch(key):
        raise LoadError(f"{path}: not the name of an argument")
    if key.endswith("activation") or key == "activity_function":
        _activation(path, value)
    elif isinstance(value, dict):
        _part(path, key, value)
    elif key.endswith(tuple(_PARTS)) and isinstance(value, str):
        kinds = _PARTS[next(kind for kind in _PARTS if key.endswith(kind))]
        if value.replace("_", "").lower() not in {name.lower() for name in kinds}:
            raise LoadError(f"{path}: not known: {value[:80]!r}")
    else:
        _check_plain(path, value, 2**63 if key in _UNBOUNDED else _MAX_SIZE)


def _activation(path: str, value: Any) -> None:
    """Checks a name, or a function as Keras writes it: {"class_name": "function", "config": its name, ...}."""
    name = value
    if (
        isinstance(value, dict)
        and value.get("class_name") == "function"
        and value.get("module") in ("builtins", "keras.activations")
    ):
        name = value.get("config")
    if name is not None and not (isinstance(name, str) and name in _ACTIVATIONS):
        raise LoadError(f"{path}: not a known activation: {str(name)[:80]!r}" + _suggestion(name, _ACTIVATIONS))


def _part(path: str, key: str, value: Mapping[str, Any]) -> None:
    """Checks an initializer, regularizer, constraint or dtype policy, whose arguments must be plain."""
    config = _arguments_of(path, value)
    known = next(
        (names for kind, names in _PARTS.items() if key.endswith(kind)), _POLICIES if key == "dtype" else frozenset()
    )
    if value.get("class_name") not in known:
        raise LoadError(f"{path}: not known: {str(value.get('class_name'))[:80]!r}")
    _keras_only(path, value)
    for name, inner in config.items():
        _check_plain(f"{path}.{str(name)[:80]}", inner, 2**63 if name in _UNBOUNDED else _MAX_SIZE)


def _check_plain(path: str, value: Any, max_size: int = _MAX_SIZE, depth: int = 0) -> None:
    """Checks that an argument consists of plain values: short texts, bounded numbers, small lists and mappings.

    Raises:
        LoadError: it does not.
    """
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not _TEXT.fullmatch(value):
            raise LoadError(f"{path}: not a plain word: {value[:80]!r}")
    elif isinstance(value, int):
        if abs(value) > max_size:
            raise LoadError(f"{path}: must be at most {max_size}, got {value}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise LoadError(f"{path}: must be finite, got {value}")
    elif isinstance(value, (list, dict)) and depth < _MAX_DEPTH and len(value) <= _MAX_ITEMS:
        if isinstance(value, dict) and "class_name" in value:
            raise LoadError(f"{path}: an object inside this argument is not loaded from an untrusted file")
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(path, item, max_size, depth + 1)
    else:
        raise LoadError(f"{path}: must be a plain value of moderate size, got {type(value).__name__}")


def _input_shape(inside: Mapping[str, Any], layers: list[tuple[str, Mapping[str, Any]]]) -> list[int | None]:
    first = layers[0][1]
    shape = first.get("batch_shape") or first.get("batch_input_shape") or inside.get("build_input_shape")
    if not isinstance(shape, list) or not all(size is None or (type(size) is int and size > 0) for size in shape):
        raise LoadError(f"model.build_input_shape: must be a list of positive sizes, got {str(shape)[:80]}")
    return shape[1:]


def _check_sizes(layers: list[tuple[str, Mapping[str, Any]]], shape: list[int | None]) -> None:
    """Checks that the model is not too large for this machine, before it is built.

    Raises:
        LoadError: it is, or its layers do not fit together.
    """
    try:
        weights, elements = largest_sizes(layers, shape)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise LoadError(f"model: the layers do not fit together: {type(error).__name__} {error}") from error
    if weights > _MAX_WEIGHTS:
        raise LoadError(f"model: may have at most {_MAX_WEIGHTS} weights, this one could have {weights}")
    if elements > _MAX_ELEMENTS:
        raise LoadError(f"model: may hold at most {_MAX_ELEMENTS} values an example, this one could hold {elements}")


def _suggestion(name: Any, known: frozenset[str]) -> str:
    return suggestion(name, known) if isinstance(name, str) else ""
