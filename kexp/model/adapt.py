"""Fit the layers that learn from data by `adapt`, such as Normalization, on the training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["adapt", "adaptable", "follow_weights"]

_FITTED_HERE = "_kexp_fits"  # attribute of a layer that this module fitted
Batches = Callable[[], Iterable["NDArray[Any]"]]


def adapt(model: keras.Model, batches: Batches, *, pooled: bool = False) -> None:
    """Fit every layer that has `adapt`, in the model's order, each on the outputs of the layers before it.

    Keras' own `adapt` of a Normalization computes in float32 and sets the variance of a constant column to 0, so that a
    new value in the column gives outputs around 1e7. Here sums are float64, and a constant column is only centred.

    Args:
        model: a built model.
        batches: returns the training rows from the start at each call; shapes (rows, *input_shape).
        pooled: whether all features share one mean and variance, as the pixels of images do.
    """
    import keras

    for layer in adaptable(model):
        if isinstance(layer, keras.layers.Normalization):
            if not _is_fitted(layer):  # else the config has mean and variance, or the model's own code fitted it
                object.__setattr__(layer, _FITTED_HERE, True)
                _fit(layer, _before(model, layer, batches), pooled)
        elif not _is_given(layer):
            layer.adapt(_Iterable(_before(model, layer, batches)))
    follow_weights(model)


def adaptable(model: keras.Model) -> list[Any]:
    """Return the layers of a model, and of models inside it, that have `adapt`."""
    return [layer for layer in model._flatten_layers(include_self=False) if callable(getattr(layer, "adapt", None))]


def follow_weights(model: keras.Model) -> None:
    """Make each Normalization read its mean and variance from its weights.

    Keras copies them into constants. A program that is compiled with other weights, such as a lane of a fused sweep,
    would otherwise use the old values.
    """
    import keras

    for layer in adaptable(model):
        if isinstance(layer, keras.layers.Normalization) and layer.built and layer.input_mean is None:
            kept = len(layer.axis)
            if kept == 0 or layer._keep_axis == tuple(range(len(layer._broadcast_shape)))[-kept:]:
                # Bypass Keras' attribute tracking, because the weights are tracked already.
                object.__setattr__(layer, "mean", layer.adapt_mean)
                object.__setattr__(layer, "variance", layer.adapt_variance)


def _is_given(layer: keras.layers.Layer) -> bool:
    """Return whether the config has what the layer would learn: a vocabulary, or bin boundaries."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a user's class
        return False
    return config.get("vocabulary") is not None or config.get("bin_boundaries") is not None


def _is_fitted(layer: keras.layers.Normalization) -> bool:
    import numpy as np

    if layer.input_mean is not None:
        return True
    if getattr(layer, _FITTED_HERE, False):  # on other rows: a compiled program's model is used for many splits
        return False
    return bool(np.any(np.asarray(layer.adapt_mean.value) != 0) or np.any(np.asarray(layer.adapt_variance.value) != 1))


def _fit(layer: keras.layers.Normalization, rows: Batches, pooled: bool) -> None:
    """Compute mean and variance in two passes, which stays exact for large values, and set them in the layer."""
    import numpy as np

    mean, count = _mean(rows(), layer._reduce_axis)
    shaped = mean.reshape(layer._broadcast_shape)
    variance, _ = _mean(((np.asarray(batch, np.float64) - shaped) ** 2 for batch in rows()), layer._reduce_axis)
    if pooled:  # total variance: within the features and between them
        variance = np.full_like(variance, variance.mean() + mean.var())
        mean = np.full_like(mean, mean.mean())
    # A column is constant if its variance is no larger than the rounding error.
    constant = variance <= (np.finfo(np.float32).eps * np.abs(mean)) ** 2
    layer.adapt_mean.assign(mean.astype(np.float32))
    layer.adapt_variance.assign(np.where(constant, 1.0, variance).astype(np.float32))
    layer.count.assign(min(count, np.iinfo(np.int32).max))
    layer.finalize_state()


def _mean(batches: Iterable[NDArray[Any]], axes: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    """Return the mean over `axes` of all batches, and the number of rows."""
    import math

    import numpy as np

    total: Any = 0.0
    values = rows = 0
    for batch in batches:
        total = total + np.sum(np.asarray(batch, np.float64), axis=axes)
        values += math.prod(batch.shape[axis] for axis in axes)
        rows += len(batch)
    return np.asarray(total / max(values, 1)), rows


def _before(model: keras.Model, layer: Any, batches: Batches) -> Batches:
    """Return a function that yields the inputs of a layer for the training rows."""
    import keras
    import numpy as np

    if isinstance(model, keras.Sequential) and layer in model.layers:
        position = model.layers.index(layer)
        earlier = [each for each in model.layers[:position] if not isinstance(each, keras.layers.InputLayer)]
        if not earlier:
            return batches

        def through() -> Iterable[NDArray[Any]]:
            for batch in batches():
                value: Any = batch
                for each in earlier:
                    value = each(value)
                yield np.asarray(keras.ops.convert_to_numpy(value))

        return through

    def reaching() -> Iterable[NDArray[Any]]:
        for batch in batches():
            yield np.asarray(keras.ops.convert_to_numpy(_reaching(model, layer, batch)))

    return reaching


def _reaching(model: keras.Model, layer: Any, batch: NDArray[Any]) -> Any:
    """Call the model with a batch, and return the input of the layer's first call.

    Raises:
        ConfigError: the model does not call the layer.
    """
    seen: list[Any] = []
    call = layer.call

    def recording(value: Any, *more: Any, **named: Any) -> Any:
        seen.append(value)
        return call(value, *more, **named)

    object.__setattr__(layer, "call", recording)
    try:
        model(batch, training=False)
    finally:
        object.__delattr__(layer, "call")
    if not seen:
        raise ConfigError(f"model: the layer {layer.name} learns from the data, but the model does not call it")
    return seen[0]


class _Iterable:
    """Batches that can be iterated repeatedly, as a layer's own `adapt` may do."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __iter__(self) -> Any:
        return iter(self._batches())
