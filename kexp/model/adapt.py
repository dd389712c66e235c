"""Fits the layers that learn from the data itself, such as Normalization, on the training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["adapt", "adaptable", "follow_weights"]

_OURS = "_kexp_fits"
Batches = Callable[[], Iterable["NDArray[Any]"]]


def adapt(model: keras.Model, batches: Batches, *, pooled: bool = False) -> None:
    """Fits every layer that has `adapt`, in the model's order, each on what the layers before it make of the rows.

    Keras' own fit of a Normalization works in float32, in an order of its own, and leaves a variance of 0 in columns
    that are constant: one new value there and the layer answers with 1e7. Here sums are float64, and such a column is
    only centred.

    Args:
        model: a built model.
        batches: gives the training rows, from the start, each time it is called; shapes (rows, *input_shape).
        pooled: all features share one mean and variance, as pixels do, which have one unit.
    """
    import keras

    for layer in adaptable(model):
        if isinstance(layer, keras.layers.Normalization):
            if not _is_fitted(layer):  # else the config gave mean and variance, or the model's own code fitted it
                object.__setattr__(layer, _OURS, True)
                _fit(layer, _before(model, layer, batches), pooled)
        elif not _is_given(layer):
            layer.adapt(_Iterable(_before(model, layer, batches)))
    follow_weights(model)


def adaptable(model: keras.Model) -> list[Any]:
    """The layers of a model that have `adapt`, those of models inside it too."""
    return [layer for layer in model._flatten_layers(include_self=False) if callable(getattr(layer, "adapt", None))]


def follow_weights(model: keras.Model) -> None:
    """Makes each Normalization read its mean and variance from its weights.

    Keras copies them into constants, so that a program compiled with other weights in their place, as a lane of a
    fused sweep is, would go on with the old ones.
    """
    import keras

    for layer in adaptable(model):
        if isinstance(layer, keras.layers.Normalization) and layer.built and layer.input_mean is None:
            kept = len(layer.axis)
            if kept == 0 or layer._keep_axis == tuple(range(len(layer._broadcast_shape)))[-kept:]:
                # Past Keras' tracking: the weights are tracked already, as weights.
                object.__setattr__(layer, "mean", layer.adapt_mean)
                object.__setattr__(layer, "variance", layer.adapt_variance)


def _is_given(layer: keras.layers.Layer) -> bool:
    """Whether the config says what the layer would learn: a vocabulary, or where bins end."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a class of one's own
        return False
    return config.get("vocabulary") is not None or config.get("bin_boundaries") is not None


def _is_fitted(layer: keras.layers.Normalization) -> bool:
    import numpy as np

    if layer.input_mean is not None:
        return True
    if getattr(layer, _OURS, False):  # on other rows; a program's model serves many splits
        return False
    return bool(np.any(np.asarray(layer.adapt_mean.value) != 0) or np.any(np.asarray(layer.adapt_variance.value) != 1))


def _fit(layer: keras.layers.Normalization, rows: Batches, pooled: bool) -> None:
    """Mean and variance in two passes, the second around the mean of the first: exact where values are large."""
    import numpy as np

    mean, count = _mean(rows(), layer._reduce_axis)
    shaped = mean.reshape(layer._broadcast_shape)
    variance, _ = _mean(((np.asarray(batch, np.float64) - shaped) ** 2 for batch in rows()), layer._reduce_axis)
    if pooled:  # the variance of the whole: within the features and between them
        variance = np.full_like(variance, variance.mean() + mean.var())
        mean = np.full_like(mean, mean.mean())
    # Rounding alone can leave a constant column a variance; it is one where nothing but rounding is left.
    constant = variance <= (np.finfo(np.float32).eps * np.abs(mean)) ** 2
    layer.adapt_mean.assign(mean.astype(np.float32))
    layer.adapt_variance.assign(np.where(constant, 1.0, variance).astype(np.float32))
    layer.count.assign(min(count, np.iinfo(np.int32).max))
    layer.finalize_state()


def _mean(batches: Iterable[NDArray[Any]], axes: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    """The mean over `axes` of all batches, and the number of rows."""
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
    """What reaches a layer of what the rows are: seen where the model calls it, the first time."""
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
    """What a layer is called with when the model is called with a batch."""
    seen: list[Any] = []
    call = layer.call

    def noted(value: Any, *more: Any, **named: Any) -> Any:
        seen.append(value)
        return call(value, *more, **named)

    object.__setattr__(layer, "call", noted)
    try:
        model(batch, training=False)
    finally:
        object.__delattr__(layer, "call")
    if not seen:
        raise ConfigError(f"model: the layer {layer.name} learns from the data, and no data reaches it")
    return seen[0]


class _Iterable:
    """Batches that can be gone through again, as the layers' own `adapt` may do."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __iter__(self) -> Any:
        return iter(self._batches())
