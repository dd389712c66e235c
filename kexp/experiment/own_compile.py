"""What a model's own code compiled it with: the optimizer, the loss and the metrics where the config names none.

The config names an optimizer where one is chosen, `optimizer=adam`, or any of its settings is; a loss and metrics where
they are not `auto`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kexp import registry, training
from kexp.build import build
from kexp.errors import ConfigError
from kexp.schema import Experiment, Node, Taken, component_node, optimizer_node
from kexp.signatures import to_snake_case

if TYPE_CHECKING:
    from kexp.model import ModelSpec

__all__ = ["compiled_by_model", "in_words", "may_compile"]

_found: dict[tuple[Any, ...], Taken] = {}


def may_compile(node: Node) -> bool:
    """Whether a model's own code may have compiled it. Imports nothing that is not imported already."""
    if node.component.distribution == registry.OURSELVES:
        return False
    if node.component.distribution == "reference":
        return True
    module = sys.modules.get(getattr(node.component.load(), "__module__", ""))
    try:
        return module is not None and "compile(" in inspect.getsource(module)
    except (OSError, TypeError):
        return False


def compiled_by_model(experiment: Experiment, spec: Callable[[], ModelSpec]) -> Taken:
    """What the model is compiled with once it is made, as config nodes. Found out once for each of its settings.

    Args:
        experiment: has the model.
        spec: what a factory is given that declares it.

    Raises:
        ConfigError: the model cannot be built, or was compiled with what has no name.
    """
    node = experiment.model
    if not may_compile(node):
        return Taken()
    key = (node.component.target, node.component.version, repr(node.parameters), repr(experiment.activation))
    if key not in _found:
        if "keras" not in sys.modules:
            training.prepare_backend(experiment.backend)
        made: Any = node.component.load()
        if node.component.reading().kind == "made":  # else it is there, and its copies are not compiled
            try:
                made = build(node, spec=spec()) if _takes_spec(node) else build(node)
            except (Exception, SystemExit):  # what cannot be made says so where it is made for a training
                return Taken()
        _found[key] = _of(made) if getattr(made, "compiled", False) else Taken()
    return _found[key]


def in_words(experiment: Experiment, taken: Taken) -> str:
    """What is used of what the model compiled, and what gives way to the config; empty where it compiled nothing."""
    used: list[str] = []
    left: list[str] = []
    follows = {
        "optimizer": experiment.optimizer_follows_model,
        "loss": experiment.loss is None,
        "metrics": experiment.metrics_follow_data,
    }
    for part, nodes in (
        ("optimizer", [taken.optimizer]),
        ("loss", [taken.loss]),
        ("metrics", [*(taken.metrics or {}).values()]),
    ):
        named = ", ".join(node.name for node in nodes if node is not None)
        if named:
            (used if follows[part] else left).append(f"{part} {named}")
    used += [f"{key} {str(value).lower()}" for key, value in experiment.follows_model(taken).items()]
    left += [
        f"{key} {str(value).lower()}"
        for key, value in taken.trainer.items()
        if key not in experiment.follows_model(taken)
    ]
    texts = [f"compiled with {', '.join(used)}, which the config leaves to it"] if used else []
    texts += [f"what the config names takes the place of its {', '.join(left)}"] if left else []
    texts += (
        [f"its {', '.join(taken.ignored)} is not used: a loss is weighed by data.weight and trainer.class_weight"]
        if taken.ignored
        else []
    )
    return "; ".join(texts)


def _takes_spec(node: Node) -> bool:
    made = node.component.load()
    try:
        return "spec" in inspect.signature(made).parameters
    except (TypeError, ValueError):
        return False


def _of(model: Any) -> Taken:
    given = getattr(getattr(model, "_compile_config", None), "config", {})
    metrics = [given.get("metrics"), given.get("weighted_metrics")]  # alike where rows have no weights
    named = dict(_metric(each) for each in _flat(metrics)) or None
    losses = list(_flat(model.loss))
    if len(losses) > 1:
        raise ConfigError("model: must have one output, and is compiled with several losses")
    loss = _node("loss", losses[0], "loss") if losses else None
    optimizer = None if model.optimizer is None else _optimizer(model.optimizer)
    weights = given.get("loss_weights")
    ignored = () if weights is None or set(_flat(weights)) == {1.0} else (f"loss_weights {weights}",)
    return Taken(optimizer, loss, named, _step(model, given), ignored)


def _step(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """How a step is compiled, where that is not how Keras does it by itself."""
    if given.get("run_eagerly"):
        return {"run_eagerly": True}
    found = {"steps_per_execution": steps} if (steps := given.get("steps_per_execution", 1)) > 1 else {}
    by_itself = model._resolve_auto_jit_compile()
    return found | ({"jit_compile": jit} if (jit := given.get("jit_compile", by_itself)) != by_itself else {})


def _flat(given: Any) -> Iterator[Any]:
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        for each in given:
            yield from _flat(each)
    elif given is not None:
        yield given


def _optimizer(optimizer: Any) -> Node:
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # mixed precision wraps it
    config = optimizer.get_config()
    rate = config.get("learning_rate")
    given = _given("optimizer", optimizer, type(optimizer).__name__.lower(), config)
    if isinstance(rate, Mapping):
        given.pop("learning_rate", None)
        given["schedule"] = _given(
            "schedule", optimizer._learning_rate, to_snake_case(rate["class_name"]), rate["config"]
        )
    return optimizer_node(given)


def _metric(metric: Any) -> tuple[str, Node]:
    metric = "accuracy" if metric == "acc" else metric  # kexp's one word for it
    key = metric if isinstance(metric, str) else getattr(metric, "name", None) or metric.__name__
    return key, _node("metrics", metric, f"metrics.{key}")


def _node(group: str, part: Any, path: str) -> Node:
    """A loss or a metric as `compile` takes it: a name, a function, an object."""
    import keras

    if isinstance(part, str):
        if part in registry.names(group):
            return component_node(group, {"name": part}, path)
        part = getattr(keras, "losses" if group == "loss" else group).get(part)
    if inspect.isfunction(part):
        return component_node(group, {"name": _name(group, part, part.__name__)}, path)
    kind = part if isinstance(part, type) else type(part)
    config = {} if isinstance(part, type) else part.get_config()
    return component_node(group, _given(group, kind, to_snake_case(kind.__name__), config), path)


def _given(group: str, part: Any, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """An object's config as a node's, without what the component does not take or has by default."""
    from kexp.instances import shorten_float

    kind = part if isinstance(part, type) else type(part)
    name = _name(group, kind, name)
    taken = {each.name: each.default for each in registry.find(group, name).signature().parameters}
    values = {key: shorten_float(value) for key, value in config.items() if key in taken}
    return {"name": name, **{key: value for key, value in values.items() if value != taken[key]}}


def _name(group: str, part: Any, name: str) -> str:
    """A registered name, or a reference to what a module has."""
    if part.__module__.startswith("keras."):
        return name
    if "<" in part.__qualname__:
        raise ConfigError(
            f"model: is compiled with a {group.removesuffix('s')} that is defined inside a function, "
            f"{part.__qualname__}, which no run can name; define it in the module"
        )
    return f"{part.__module__}:{part.__qualname__}"
