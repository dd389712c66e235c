"""The format `onnx`: the predictions of a model, for other runtimes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.persistence.architecture import all_layers, architecture_config, model_from_architecture, set_weights
from kexp.persistence.format import Format, Predictor

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["onnx_format"]


def onnx_format() -> Format:
    """The predictions alone as ONNX for other runtimes (model.onnx); backend=tensorflow, `pip install 'kexp[onnx]'`."""
    return _Onnx()


class _Onnx:
    filename = "model.onnx"
    carries = "function"
    # ONNX Runtime has other kernels than TensorFlow: in float32 their differences exceed 1e-5 in a deep network.
    tolerance = 1e-4
    requires_backend = frozenset({"tensorflow"})
    requires_package = (("onnx", "onnxruntime", "tf2onnx"), "pip install 'kexp[onnx]'")

    def save(self, model: keras.Model, path: Path) -> None:
        import keras

        copy = _convertible(model)
        (given,) = copy.inputs
        # The export refuses a model that was built but never called.
        copy(keras.ops.zeros([size or 1 for size in given.shape], given.dtype), training=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras patches tf2onnx for newer NumPy, which makes NumPy warn
            copy.export(path, format="onnx", verbose=False)

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> Predictor:
        import onnxruntime

        return _Session(onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"]))


def _convertible(model: keras.Model) -> keras.Model:
    """Returns a copy of the model that tf2onnx can convert.

    Recurrent layers are unrolled if the number of steps is fixed, because their loops may not convert. The constants of
    Normalization become NumPy arrays, because tensors would become additional inputs of the ONNX model.
    """
    import keras

    config = architecture_config(model)
    if None not in model.input_shape[1:]:
        for layer in _configs(config):
            if "unroll" in layer:
                layer["unroll"] = True
    copy = model_from_architecture(config)
    set_weights(copy, [keras.ops.convert_to_numpy(weight) for weight in model.weights])
    for layer in all_layers(copy):
        if isinstance(layer, keras.layers.Normalization):
            layer.mean, layer.variance = map(keras.ops.convert_to_numpy, (layer.mean, layer.variance))
    return copy


def _configs(node: Any) -> Iterator[dict[str, Any]]:
    """Yields every mapping inside a config, the outermost first."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _configs(child)


class _Session:
    def __init__(self, session: Any) -> None:
        self._session = session

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.floating[Any]]:
        import numpy as np

        given, *rest = self._session.get_inputs()
        if rest:
            raise ValueError(f"the graph has more inputs than the model: {', '.join(each.name for each in rest)}")
        kinds = {
            "tensor(float)": "float32",
            "tensor(double)": "float64",
            "tensor(int32)": "int32",
            "tensor(int64)": "int64",
        }
        return np.asarray(self._session.run(None, {given.name: np.asarray(inputs, kinds.get(given.type))})[0])
