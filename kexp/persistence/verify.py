"""Verifies that a model that was read back equals the saved one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kexp.persistence.architecture import architecture_config, set_weights
from kexp.persistence.format import carries

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

__all__ = ["Reference", "predict_once"]


def predict_once(model: Any, probe: NDArray[Any]) -> NDArray[Any]:
    """Predicts one batch eagerly, since tracing or compiling does not pay for a single call.

    Args:
        model: a Keras model or a Predictor.
        probe: one batch of inputs, shape (batch, ...).

    Returns:
        The predictions, shape (batch, outputs).
    """
    import keras
    import numpy as np

    if not isinstance(model, keras.Model):
        return np.asarray(model(probe))
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "stateful", False):
            layer.reset_state()  # its state comes from other rows
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            return np.asarray(keras.ops.convert_to_numpy(model(probe, training=False)))
    return np.asarray(keras.ops.convert_to_numpy(model(probe, training=False)))


class Reference:
    """A model's weights, optimizer state and predictions when it is saved, to compare with each format.

    Args:
        model: the built model that is saved.
        probe: one batch of inputs, shape (batch, ...).
    """

    def __init__(self, model: keras.Model, probe: NDArray[Any]) -> None:
        self.model, self.probe = model, probe
        self.predictions = predict_once(model, probe)
        self.weights = _arrays(model.weights)
        optimizer = getattr(model, "optimizer", None)
        self.optimizer = _arrays(optimizer.variables) if optimizer is not None and optimizer.built else []

    def difference(self, loaded: Any, fmt: Any) -> str | None:
        """Compares a loaded model with the saved one.

        Args:
            loaded: a Keras model or a Predictor.
            fmt: the format that loaded it.

        Returns:
            The difference, as the end of a sentence; None if there is none.
        """
        if carries(fmt) == "architecture":
            return self._architecture_difference(loaded) or self._prediction_difference(loaded, fmt)
        if carries(fmt) != "function":
            problem = self._weight_difference(loaded)
            if problem:
                return problem
        return self._prediction_difference(loaded, fmt)

    def optimizer_difference(self, stored: Callable[[], Iterable[NDArray[Any]]]) -> str | None:
        """Compares the optimizer's state in any order, since formats order it differently.

        Args:
            stored: returns the arrays in the file; called only if the model has an optimizer.

        Returns:
            The difference, as the end of a sentence; None if there is none.
        """
        if self.optimizer and sorted(map(_bits, stored())) != sorted(map(_bits, self.optimizer)):
            return "reads back with another optimizer state"
        return None

    def _architecture_difference(self, loaded: keras.Model) -> str | None:
        saved, got = architecture_config(self.model)["config"], architecture_config(loaded)["config"]
        # A Sequential is rebuilt with the current dtype policy; only its layers' own policies have an effect.
        if {**saved, "dtype": None} != {**got, "dtype": None}:
            return "reads back with another configuration"
        if [weight.shape for weight in loaded.weights] != [weight.shape for weight in self.weights]:
            return "reads back with weights of other shapes"
        set_weights(loaded, self.weights)
        return None

    def _weight_difference(self, loaded: keras.Model) -> str | None:
        weights = _arrays(loaded.weights)
        if len(weights) != len(self.weights):
            return f"reads back with {len(weights)} weights instead of {len(self.weights)}"
        for variable, expected, got in zip(self.model.weights, self.weights, weights, strict=True):
            if _bits(expected) != _bits(got):
                return f"reads back with another value of {variable.path}"
        return None

    def _prediction_difference(self, loaded: Any, fmt: Any) -> str | None:
        import numpy as np

        got, expected = predict_once(loaded, self.probe), self.predictions
        if got.shape != expected.shape:
            return f"predicts shape {got.shape} instead of {expected.shape} once read back"
        tolerance = getattr(fmt, "tolerance", 1e-5)
        finite = np.abs(expected[np.isfinite(expected)].astype("float64"))
        allowed = tolerance * max(1.0, float(finite.max())) if finite.size else tolerance
        if not np.allclose(got.astype("float64"), expected.astype("float64"), rtol=0.0, atol=allowed, equal_nan=True):
            off = float(np.nanmax(np.abs(got.astype("float64") - expected.astype("float64"))))
            return f"predicts differently once read back: off by {off:.3g}, allowed {allowed:.3g}"
        return None


def _arrays(variables: Iterable[Any]) -> list[NDArray[Any]]:
    import keras
    import numpy as np

    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _bits(array: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    """Returns what is equal for two arrays if and only if they are equal bit by bit."""
    return str(array.dtype), array.shape, array.tobytes()
