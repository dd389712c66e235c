"""Check that a model fits the data and the loss, and build it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.errors import ComponentError, ConfigError
from kexp.model.spec import ModelSpec
from kexp.system.user_errors import describe_user_error

if TYPE_CHECKING:
    import keras

__all__ = ["assemble", "check_model", "check_rows", "classes_at_steps", "first_sentence"]


def check_model(model: Any, spec: ModelSpec) -> keras.Model:
    """Build a model for the data's rows, and check its input and output.

    Args:
        model: the result of a factory: a Sequential, a Functional or a subclassed model.
        spec: the shapes that data and loss require.

    Returns:
        The model, built.

    Raises:
        ComponentError: the result is not a Keras model.
        ConfigError: the model has several inputs or outputs, a layer does not fit its input, or the output does not fit
            the targets.
    """
    import keras
    from keras.src.backend import compute_output_spec

    if not isinstance(model, keras.Model):
        raise ComponentError(f"model: must be a keras.Model, got {type(model).__name__}")
    if isinstance(model, keras.Sequential):
        output = _built_sequential(model, spec)
    elif isinstance(getattr(model, "inputs", None), list):
        output = _of_graph(model, spec)
    else:
        output = _of_call(model, spec)
    if None in output[1:] and getattr(model, "inputs", None):  # sizes that follow from the rows'
        rows = keras.KerasTensor((None, *spec.input_shape), dtype=spec.input_dtype)
        output = tuple(compute_output_spec(model, rows, training=False).shape)
        _renew_constants(model)
    if tuple(output[1:]) != spec.output_shape:
        raise ConfigError(
            f"model: must end in the shape {(None, *spec.output_shape)} that data and loss ask for, got {tuple(output)}"
            f"{classes_at_steps(output, spec)}"
        )
    return model


def classes_at_steps(output: Sequence[Any], spec: ModelSpec) -> str:
    """Return the advice for a model with several numbers for each number of the targets: these may be classes.

    Args:
        output: the shape of the model's output, including the batch.
        spec: the shapes that data and loss require.

    Returns:
        The end of a message, which begins with a semicolon; empty for another shape.
    """
    if tuple(output[1:-1]) != spec.output_shape or output[-1] == 1:
        return ""
    steps = " x ".join(map(str, spec.output_shape))
    return f"; if the targets are a class at each of {steps} steps, choose loss=sparse_categorical_crossentropy"


def _built_sequential(model: keras.Sequential, spec: ModelSpec) -> tuple[Any, ...]:
    if not model.layers:
        raise ConfigError("model.layers: must have at least one layer")
    if not model.built:
        try:
            model.build((None, *spec.input_shape))
        except Exception as error:
            raise _misfit(model.layers, spec, error) from error
    check_rows(model.input_shape, spec)
    return tuple(model.output_shape)


def _of_graph(model: keras.Model, spec: ModelSpec) -> tuple[Any, ...]:
    """Check a Functional model, and return its output shape."""
    for what, shape, count in (
        ("input", model.input_shape, len(model.inputs)),
        ("output", model.output_shape, len(model.outputs)),
    ):
        if count != 1 or not _is_shape(shape):
            raise ConfigError(f"model: must have one {what}, got {_several(shape)}")
    check_rows(model.inputs[0].shape, spec)
    return tuple(model.outputs[0].shape)


def _of_call(model: keras.Model, spec: ModelSpec) -> tuple[Any, ...]:
    """Build a subclassed model, as `fit` does on its first batch, and return its output shape."""
    import keras
    from keras.src.backend import compute_output_spec

    name, failure = type(model).__name__, None
    for rows in (None, 2):  # a `call` may compute with the number of rows, which None does not allow
        try:
            output = compute_output_spec(
                model, keras.KerasTensor((rows, *spec.input_shape), dtype=spec.input_dtype), training=False
            )
            break
        except Exception as error:
            failure = failure or error
    else:
        assert failure is not None
        raise ConfigError(
            f"model: {name}.call must take rows of shape {tuple(spec.input_shape)}, the data's: {_why(failure)}"
        ) from failure
    _renew_constants(model)
    if not isinstance(output, keras.KerasTensor):
        raise ConfigError(f"model: must have one output, {name}.call gives {_several(_shapes(output))}")
    return None, *output.shape[1:]


def _renew_constants(model: keras.Model) -> None:
    """Compute the constants of Normalizations again, because a symbolic call has set them to symbols."""
    import keras

    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state() if layer.input_mean is None else layer.build(layer._build_input_shape)


def check_rows(shape: Sequence[Any], spec: ModelSpec) -> None:
    """Check that a model's input shape fits the data's rows.

    Args:
        shape: the input shape, including the batch.
        spec: the shapes that data and loss require.

    Raises:
        ConfigError: it does not.
    """
    taken = tuple(shape[1:])
    fits = len(taken) == len(spec.input_shape) and all(
        size in (None, given) for size, given in zip(taken, spec.input_shape, strict=True)
    )
    if not fits:
        raise ConfigError(f"model: takes rows of shape {taken}, but the data's rows have shape {spec.input_shape}")


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and all(size is None or isinstance(size, int) for size in shape)


def _shapes(output: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda each: tuple(each.shape) if hasattr(each, "shape") else each, output)


def _several(shapes: Any) -> str:
    """Describe inputs or outputs that are not a single tensor."""
    if isinstance(shapes, dict):
        return f"{len(shapes)}: {', '.join(map(str, shapes))}"
    if isinstance(shapes, (list, tuple)) and not _is_shape(shapes):
        return f"{len(shapes)} of the shapes {', '.join(map(str, shapes))}"
    return type(shapes).__name__ if not _is_shape(shapes) else f"a structure around the shape {shapes}"


def assemble(
    layers: Sequence[keras.layers.Layer],
    spec: ModelSpec,
    *,
    before: Sequence[keras.layers.Layer] = (),
    declared: keras.layers.InputLayer | None = None,
) -> keras.Sequential:
    """Build a Sequential of the layers for the data's rows.

    Args:
        layers: the layers of the config.
        spec: has the shape and the type of rows.
        before: layers to insert between the input and `layers`.
        declared: the config's own input layer, which may set a type and the batch size.

    Raises:
        ConfigError: a layer does not fit its input; the message has the layer's index.
    """
    import keras

    batch, dtype = None, spec.input_dtype
    if declared is not None:
        batch = declared.batch_shape[0]
        dtype = dtype if declared.dtype == keras.config.floatx() else declared.dtype  # Keras' default means unset
    rows = keras.layers.InputLayer(batch_shape=(batch, *spec.input_shape), dtype=dtype)
    try:
        return keras.Sequential([rows, *before, *layers])
    except Exception as error:
        first = int(declared is not None) - len(before)
        raise _misfit([*before, *layers], spec, error, first, rows.batch_shape) from error


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of a Keras error, without the layer's generated name and terminal colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = " ".join(text.split())
    text = re.sub(r"^Exception encountered when calling \S+?\(?\)?\. ", "", text)
    text = re.sub(
        r"^Input \d+ (?:of|with name '[^']*' of) layer ['\"][^'\"]*['\"] is incompatible with the layer: ", "", text
    )
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0].strip() or type(error).__name__


def _misfit(
    layers: Sequence[keras.layers.Layer],
    spec: ModelSpec,
    error: Exception,
    first: int = 0,
    rows: tuple[int | None, ...] | None = None,
) -> ConfigError:
    """Return the error of the first layer that does not fit its input."""
    import keras

    value = keras.KerasTensor(rows or (None, *spec.input_shape), dtype=spec.input_dtype)
    counted = [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]
    for index, layer in enumerate(counted, first):
        try:
            value = layer(value)
        except Exception as cause:
            return ConfigError(
                f"model.layers[{index}]: {type(layer).__name__} does not fit its input of shape "
                f"{tuple(value.shape)}: {_why(cause)}"
            )
    return ConfigError(f"model.layers: {_why(error)}")


def _why(error: Exception) -> str:
    """Return the message of an exception in the user's code, with its line; else the first sentence of Keras' error."""
    return describe_user_error(error) or first_sentence(error)
