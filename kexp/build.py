"""From a config node to the object it names. What goes wrong while building is told with the config path behind it."""

from __future__ import annotations

import copy
import functools
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kexp import signatures
from kexp.blame import own_sentence
from kexp.errors import BuildError, ComponentError, DataError, KexpError
from kexp.groups import GROUPS, group_of_parameter
from kexp.ready import fresh
from kexp.registry import OURSELVES
from kexp.schema import Node, component_node

_IN_FILES = ("initializer", "regularizer", "constraint", "schedule")

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
]


def build(node: Node, **given: Any) -> Any:
    """The object that a node names.

    Args:
        node: a checked component node.
        given: what kexp hands to factories that declare it (`spec` to a model's).

    Raises:
        BuildError: the component refused its parameters; also an instance of the original error's type.
        ComponentError: it returned another kind of thing than its group promises.
    """
    component = node.component
    factory, reading = component.load(), component.reading()
    parameters = {
        key: _copy(value) if reading.signature.is_plain(key) else _inner(key, value, f"{node.path}.{key}")
        for key, value in node.parameters.items()
    }
    if reading.kind == "itself":
        from kexp.components.functions import as_part

        return as_part(component, factory, reading, parameters)
    if reading.kind == "copied":
        made = _call(node.path, lambda **values: fresh(factory, values, lambda: component.load(anew=True)), parameters)
    else:
        declared = signatures.of_callable(factory) if given and not component.exported else ()
        made = _call(node.path, factory, parameters | {key: each for key, each in given.items() if key in declared})
    if component.group == "layer" and hasattr(made, "_keras_history"):
        made = made._keras_history.operation  # `keras.Input` gives the tensor of the InputLayer that it makes
    _hold_to_promise(node, made)
    return _with_config(node, made)


def build_optimizer(node: Node, total_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer, its learning rate a schedule where one is chosen.

    Args:
        node: the optimizer's node.
        total_steps: optimizer steps of the whole training; the default length of schedules.
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
    return build(Node(node.component, {**node.parameters, "learning_rate": _Made(rate)}, node.common, node.path))


def build_loss(node: Node) -> Any:
    """The loss: a Keras loss or a function of (y_true, y_pred)."""
    made = _callable(node, build(node))
    return made if isinstance(made, str) or hasattr(made, "get_config") else _function(node, made)


def build_metrics(nodes: Mapping[str, Node]) -> list[Any]:
    """The metrics, each measured under the key it stands at."""
    return [_callable(node, _named(node, key)) for key, node in nodes.items()]


def build_activation(node: Node) -> Any:
    """The hidden layers' activation: Keras' name for it, or what makes a layer where it has parameters of its own."""
    from kexp.components.activations import as_layer, make_activation

    reading = node.component.reading()
    if reading.kind == "itself":
        return make_activation(node.name, node.component.load(), reading.signature, node.parameters)
    return lambda: as_layer(build(node), node.name)


def build_model(node: Node, spec: ModelSpec) -> keras.Model:
    """The model, built for the data's shapes."""
    from kexp.model import check_model

    model = build(node, spec=spec)
    return check_model(model, spec)


def build_data(node: Node) -> Data:
    """The data that a node names, whatever form its factory returns it in.

    Raises:
        ComponentError: the factory returned no data.
        DataError: the data cannot be used.
    """
    from kexp.data import as_data

    made = build(node)
    try:
        return as_data(made)
    except DataError as error:
        if node.component.distribution == OURSELVES:
            raise
        raise DataError(f"{error} (from {_source(node)})") from error


def build_format(name: str, key: str = "save.formats") -> Format:
    """The file format of that registered name.

    Args:
        name: a registered name or a reference.
        key: the config key to blame in messages.

    Raises:
        ComponentError: the factory returned something without `filename`, `save` and `load`.
    """
    node = component_node("format", name, key)
    made: Format = build(node)
    missing = [each for each in ("filename", "save", "load") if not hasattr(made, each)]
    if missing:
        raise ComponentError(
            f"{key}: {_source(node)} must return a kexp.persistence.Format, got {type(made).__name__} without "
            f"{' and '.join(missing)}"
        )
    return made


def build_callbacks(nodes: Mapping[str, Node]) -> list[keras.callbacks.Callback]:
    """The callbacks, in the order of the config."""
    return [build(node) for node in nodes.values()]


def _copy(value: Any) -> Any:
    """A list of the config's as one of the part's own, which its code may change."""
    return copy.deepcopy(value) if isinstance(value, (list, dict)) else value


class _Made:
    """A parameter's value that is an object already."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _inner(key: str, value: Any, path: str) -> Any:
    """A parameter's value, with the components that it names built."""
    if isinstance(value, _Made):
        return value.value
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
            # The older `input_shape` and `input_dim` of a first layer are accepted, so Keras need not advise against.
            warnings.filterwarnings("ignore", message="Do not pass an `input_shape`")
            return factory(**parameters)
    except KexpError as error:
        if str(error).startswith(path):
            raise
        raise BuildError.wrap(error, path) from error
    except Exception as error:
        raise BuildError.wrap(error, path, own_sentence(error)) from error


def _named(node: Node, key: str) -> Any:
    """A metric, named by its key; a bare function is averaged over the rows."""
    made = build(node)
    if isinstance(made, str):
        return made
    if hasattr(made, "update_state"):  # a metric object; callable as well, so asked first
        made.name = key
    elif callable(made):
        import keras

        return keras.metrics.MeanMetricWrapper(_function(node, made), name=key)
    return made


def _function(node: Node, made: Any) -> Any:
    from kexp.components.functions import as_function

    return as_function(node.component, made)


def _callable(node: Node, made: Any) -> Any:
    if not callable(made) and not isinstance(made, str) and not hasattr(made, "update_state"):
        raise ComponentError(
            f"{node.path}: {_source(node)} must return a {node.component.group}, got {type(made).__name__}"
        )
    return made


def _with_config(node: Node, made: Any) -> Any:
    """A part that files name, with a `get_config` where its class has none: what the config gave it."""
    if node.component.group not in _IN_FILES or node.component.distribution == OURSELVES:
        return made
    try:
        made.get_config()
    except (NotImplementedError, AttributeError):
        made.__class__ = _configured(type(made))  # type: ignore[arg-type]
        made.kexp_config = {key: value for key, value in node.parameters.items() if not isinstance(value, _Made)}
    return made


@functools.cache
def _configured(kind: type[Any]) -> type[Any]:
    """The class with a `get_config`, of what each object was made with; in files it goes by its own name."""

    def begin(self: Any, **given: Any) -> None:
        kind.__init__(self, **given)
        self.kexp_config = given

    body = {"__init__": begin, "get_config": lambda self: dict(self.kexp_config), "__module__": kind.__module__}
    return type(kind.__name__, (kind,), body)


def _hold_to_promise(node: Node, made: Any) -> None:
    promised = GROUPS[node.component.group].makes
    if not promised:
        return
    module, _, name = promised.partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not isinstance(made, kind):
        raise ComponentError(f"{node.path}: {_source(node)} must return a {module}.{name}, got {type(made).__name__}")


def _source(node: Node) -> str:
    return f"{node.component.target} of {node.component.origin}"
