"""Builds the object that a config node names. Errors while building name the config path."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kexp import signatures, traits
from kexp.components.functions import GROUPS_IN_FILES, as_function, bind_function, wrap_made
from kexp.errors import BuildError, ComponentError, ConfigError, DataError, KexpError
from kexp.registry import OURSELVES
from kexp.registry.groups import GROUPS, group_of_parameter
from kexp.registry.instances import copy_instance, with_config
from kexp.schema import Node, component_node
from kexp.system.disk import DiskFullError
from kexp.system.passwords import restore_in
from kexp.system.user_errors import describe_user_error

if TYPE_CHECKING:
    import keras

    from kexp.data import Data
    from kexp.model import ModelSpec
    from kexp.persistence import Format

__all__ = [
    "build",
    "build_activation",
    "build_callbacks",
    "build_data",
    "build_format",
    "build_loss",
    "build_metrics",
    "build_model",
    "build_optimizer",
    "restored",
]


def build(node: Node, **given: Any) -> Any:
    """Builds the object that a node names.

    Args:
        node: a checked component node.
        given: arguments of kexp's for factories that declare them (`spec` for a model).

    Returns:
        The object, of the type that the component's group requires.

    Raises:
        BuildError: the component refused its parameters; also an instance of the original error's type.
        ComponentError: the factory returned an object of another type.
    """
    component = node.component
    factory, reading = component.load(), component.reading()
    parameters = {
        key: _copy(value) if reading.signature.is_plain(key) else _inner(key, value, f"{node.path}.{key}")
        for key, value in reading.signature.with_members(restored(node)).items()
    }
    if reading.kind == "itself":
        return bind_function(component, factory, reading, parameters)
    if reading.kind == "copied":
        made = _call(
            node.path, lambda **values: copy_instance(factory, values, lambda: component.load(anew=True)), parameters
        )
    else:
        declared = signatures.of_callable(factory) if given and not component.exported else ()
        made = _call(node.path, factory, parameters | {key: each for key, each in given.items() if key in declared})
        if component.distribution != OURSELVES and component.group in GROUPS_IN_FILES:
            made = wrap_made(component, factory, made, parameters)
    if component.group == "layer" and hasattr(made, "_keras_history"):
        made = made._keras_history.operation  # `keras.Input` returns the tensor of its InputLayer
    _check_type(node, made)
    return _with_config(node, made)


def restored(node: Node) -> dict[str, Any]:
    """Returns a copy of a node's parameters, its lists and mappings too, with the passwords in their addresses.

    Raises:
        ConfigError: a password is not known.
    """
    return {key: restore_in(value, f"{node.path}.{key}") for key, value in node.parameters.items()}


def build_optimizer(node: Node, total_steps: int) -> keras.optimizers.Optimizer:
    """Builds the optimizer, with a schedule as its learning rate if one is chosen.

    Args:
        node: the optimizer's node.
        total_steps: optimizer steps of the whole training, > 0; the default length of schedules.

    Raises:
        BuildError: see `build`.
    """
    from kexp.components import schedules

    rate: Any = node.parameters.get("learning_rate")
    schedule: Node | None = node.common.get("schedule")
    if schedule is not None:
        filled = schedules.fill(schedule.name, schedule.parameters, learning_rate=rate, total_steps=total_steps)
        rate = build(Node(schedule.component, filled, schedule.common, schedule.path))
    elif node.common.get("decay"):
        rate = schedules.time_based(rate, node.common["decay"])
    else:
        return build(node)
    return build(Node(node.component, {**node.parameters, "learning_rate": rate}, node.common, node.path))


def build_loss(node: Node) -> Any:
    """Builds the loss: a Keras loss or a function of (y_true, y_pred)."""
    made = _callable(node, build(node))
    return made if isinstance(made, str) or hasattr(made, "get_config") else as_function(node.component, made)


def build_metrics(nodes: Mapping[str, Node]) -> list[Any]:
    """Builds the metrics, each named by its config key."""
    return [_callable(node, _build_metric(node, key)) for key, node in nodes.items()]


def build_activation(node: Node) -> Any:
    """Builds the activation of hidden layers: Keras' name, or a factory of layers if it has parameters."""
    from kexp.components.activations import as_layer, make_activation

    reading = node.component.reading()
    if reading.kind == "itself":
        return make_activation(node.name, node.component.load(), reading.signature, node.parameters)
    return lambda: as_layer(build(node), node.name, node.component.load(), node.parameters)


def build_model(node: Node, spec: ModelSpec) -> keras.Model:
    """Builds the model for the data's shapes.

    Args:
        node: the model's node.
        spec: the data's shapes and task.

    Raises:
        BuildError: see `build`.
        ConfigError: the model does not fit the data.
    """
    from kexp.model import check_model

    if problem := traits.inputs_problem(traits.of(node.component).inputs, spec.input_shape, spec.image_shape):
        raise ConfigError(f"model={node.name}: {problem}")
    return check_model(build(node, spec=spec), spec)


def build_data(node: Node) -> Data:
    """Builds the data, in any form that its factory returns.

    Args:
        node: the data's node.

    Raises:
        ComponentError: the factory returned something else.
        DataError: the data cannot be used.
    """
    from kexp.data import as_data

    made = build(node)
    try:
        return as_data(made)
    except DataError as error:
        if node.component.distribution == OURSELVES:
            raise
        raise DataError(f"{error} (from {node.component.source})") from error
    except Exception as error:  # the user's generator or dataset is first read here
        if node.component.distribution == OURSELVES:
            raise
        raise BuildError.wrap(error, node.path, describe_user_error(error)) from error


def build_format(name: str, key: str = "save.formats") -> Format:
    """Builds a file format.

    Args:
        name: a registered name or a reference.
        key: the config key for messages.

    Raises:
        ComponentError: the factory returned something without `filename`, `save` and `load`.
    """
    node = component_node("format", name, key)
    made: Format = build(node)
    missing = [each for each in ("filename", "save", "load") if not hasattr(made, each)]
    if missing:
        raise ComponentError(
            f"{key}: {node.component.source} must return a kexp.persistence.Format, got {type(made).__name__} without "
            f"{' and '.join(missing)}"
        )
    return made


def build_callbacks(nodes: Mapping[str, Node]) -> list[keras.callbacks.Callback]:
    """Builds the callbacks, in the order of the config."""
    return [build(node) for node in nodes.values()]


def _copy(value: Any) -> Any:
    """Copies lists and mappings of the config, because the component's code may change them."""
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value


def _inner(key: str, value: Any, path: str) -> Any:
    """Returns a parameter's value, with the components in it built."""
    group = group_of_parameter(key)
    if group == "layer" and isinstance(value, (list, tuple)):
        return [
            build(component_node("layer", each, f"{path}[{place}]")) if isinstance(each, Mapping) else each
            for place, each in enumerate(value)
        ]
    if group is None or not isinstance(value, (str, Mapping)) or (group == "layer" and isinstance(value, str)):
        return value
    if group == "activation":
        made = build_activation(component_node(group, value, path))
        return made() if callable(made) and not isinstance(made, str) else made
    return build(component_node(group, value, path))


def _call(path: str, factory: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    try:
        with warnings.catch_warnings():
            # kexp accepts the older `input_shape` and `input_dim` of a first layer, so Keras' advice is hidden.
            warnings.filterwarnings("ignore", message="Do not pass an `input_shape`")
            return factory(**parameters)
    except DiskFullError:
        raise
    except KexpError as error:
        if str(error).startswith(path):
            raise
        raise BuildError.wrap(error, path) from error
    except Exception as error:
        raise BuildError.wrap(error, path, describe_user_error(error)) from error


def _build_metric(node: Node, key: str) -> Any:
    """Builds a metric and names it by its key; a plain function is averaged over the rows."""
    made = build(node)
    if isinstance(made, str):
        return made
    if hasattr(made, "update_state"):  # a metric object, which is callable as well
        made.name = key
    elif callable(made):
        import keras

        return keras.metrics.MeanMetricWrapper(as_function(node.component, made), name=key)
    return made


def _callable(node: Node, made: Any) -> Any:
    if not callable(made) and not isinstance(made, str) and not hasattr(made, "update_state"):
        raise ComponentError(
            f"{node.path}: {node.component.source} must return a {node.component.group}, got {type(made).__name__}"
        )
    return made


def _with_config(node: Node, made: Any) -> Any:
    """Adds a `get_config` to an object that saved files contain, if its class has none."""
    if node.component.group not in GROUPS_IN_FILES or node.component.distribution == OURSELVES:
        return made
    try:
        made.get_config()
    except (NotImplementedError, AttributeError):
        made.__class__ = with_config(type(made))  # type: ignore[arg-type]
        made.kexp_config = dict(node.parameters)
    return made


def _check_type(node: Node, made: Any) -> None:
    required = GROUPS[node.component.group].makes
    if not required:
        return
    module, _, name = required.partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not isinstance(made, kind):
        raise ComponentError(
            f"{node.path}: {node.component.source} must return a {module}.{name}, got {type(made).__name__}"
        )
