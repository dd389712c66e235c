"""Reads what a model's own code compiled it with: optimizer, loss and metrics, for those that the config leaves open.

The config names an optimizer if it chooses one, `optimizer=adam`, or sets any of its parameters; it names a loss and
metrics if they are not `auto`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kexp import registry, training
from kexp.build import build
from kexp.errors import ConfigError
from kexp.registry.compiled_parts import CALLED, compiled_parts, refers_to_layers
from kexp.registry.groups import GROUPS
from kexp.registry.instances import arguments_of, factory_of, shorten_float
from kexp.registry.own_code import modules_of
from kexp.schema import Experiment, Node, Taken, component_node, optimizer_node
from kexp.signatures import to_snake_case

if TYPE_CHECKING:
    from kexp.model import ModelSpec

__all__ = ["compile_notice", "compiled_by_model", "may_compile"]

_found: dict[tuple[Any, ...], Taken] = {}


def may_compile(node: Node) -> bool:
    """Returns whether a model's own code may compile it. Imports nothing that is not imported already."""
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
    """Returns what the model's own code compiles it with, as config nodes. Cached by the model's parameters.

    Args:
        experiment: the experiment with the model.
        spec: creates the argument `spec` of a factory that declares it.

    Raises:
        ConfigError: a part that the config leaves open cannot be created again from a config.
    """
    node = experiment.model
    if not may_compile(node):
        return Taken()
    key = (node.component.target, node.component.version, repr(node.parameters), repr(experiment.activation))
    if key not in _found:
        if "keras" not in sys.modules:
            training.prepare_backend(experiment.backend)
        made: Any = node.component.load()
        if node.component.reading().kind == "made":  # an existing object needs no build
            try:
                made = build(node, spec=spec()) if _takes_spec(node) else build(node)
            except (Exception, SystemExit):  # the error is raised again when the model is built for training
                return Taken()
        _found[key] = _compiled_with(made, node) if getattr(made, "compiled", False) else Taken()
    taken = _found[key]
    for part in _following(experiment):
        if part in taken.unnamed:
            raise taken.unnamed[part]
    return taken


def compile_notice(experiment: Experiment, taken: Taken) -> str:
    """Returns a notice on the settings of the model's own `compile` that are used or replaced; may be empty."""
    used: list[str] = []
    left: list[str] = []
    follows = _following(experiment)
    for part, nodes in (
        ("optimizer", [taken.optimizer]),
        ("loss", [taken.loss]),
        ("metrics", [*(taken.metrics or {}).values()]),
    ):
        named = ", ".join(node.name for node in nodes if node is not None)
        if named:
            (used if part in follows else left).append(f"{part} {named}")
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


def _following(experiment: Experiment) -> set[str]:
    """Returns which of optimizer, loss and metrics the config leaves to the model's own code."""
    follows = {
        "optimizer": experiment.optimizer_follows_model,
        "loss": experiment.loss is None,
        "metrics": experiment.metrics_follow_data,
    }
    return {part for part, does in follows.items() if does}


def _takes_spec(node: Node) -> bool:
    """Returns whether the model's factory declares an argument `spec`."""
    factory = node.component.load()
    try:
        return "spec" in inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return False


def _compiled_with(model: Any, made_by: Node) -> Taken:
    """Returns the optimizer, loss, metrics and step settings of a compiled model, as config nodes.

    Raises:
        ConfigError: the model has several losses.
    """
    given = getattr(getattr(model, "_compile_config", None), "config", {})
    losses = compiled_parts(model, "loss")
    if len(losses) > 1:
        raise ConfigError("model: must have one output, and is compiled with several losses")
    unnamed: dict[str, ConfigError] = {}

    def named(part: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except ConfigError as error:
            unnamed[part] = error
            return None

    optimizer = named("optimizer", lambda: model.optimizer and _optimizer(model.optimizer))
    loss = named("loss", lambda: losses and _node("loss", losses[0], "loss", made_by)) or None
    metrics = named("metrics", lambda: _metrics(model, made_by)) or None
    weights = given.get("loss_weights")
    ignored = () if {*compiled_parts(model, "loss_weights")} <= {1.0} else (f"loss_weights {weights}",)
    return Taken(optimizer, loss, metrics, _step_settings(model, given), ignored, unnamed)


def _metrics(model: Any, made_by: Node) -> dict[str, Node]:
    plain, weighted = ([*enumerate(compiled_parts(model, kind))] for kind in ("metrics", "weighted_metrics"))
    metrics = dict(_metric(each, made_by, f"metrics.{place}") for place, each in plain)
    for place, each in weighted:
        key, node = _metric(each, made_by, f"weighted_metrics.{place}")
        name = f"weighted_{key}" if key in metrics else key  # as Keras calls it
        metrics[name] = replace(node, common={**node.common, "weighted": True}, path=f"metrics.{name}")
    return metrics


def _step_settings(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a step that differ from Keras' defaults, by the trainer's keys."""
    if given.get("run_eagerly"):
        return {"run_eagerly": True}
    found = {"steps_per_execution": steps} if (steps := given.get("steps_per_execution", 1)) > 1 else {}
    by_itself = model._resolve_auto_jit_compile()
    return found | ({"jit_compile": jit} if (jit := given.get("jit_compile", by_itself)) != by_itself else {})


def _optimizer(optimizer: Any) -> Node:
    """Returns the node of an optimizer, with its schedule.

    Raises:
        ConfigError: no config can create it again.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # mixed precision wraps it
    if isinstance(rate := optimizer._learning_rate, _schedules()):
        _check_recreatable("schedule", rate)
    _check_recreatable("optimizer", optimizer)
    config = optimizer.get_config()
    given = _given("optimizer", optimizer, type(optimizer).__name__.lower(), config)
    if isinstance(serialized := config.get("learning_rate"), Mapping):
        given.pop("learning_rate", None)
        given["schedule"] = _given("schedule", rate, to_snake_case(serialized["class_name"]), serialized["config"])
    return optimizer_node(given)


def _schedules() -> type[Any]:
    import keras

    kind: type[Any] = keras.optimizers.schedules.LearningRateSchedule
    return kind


def _check_recreatable(noun: str, part: Any) -> None:
    """Refuses an object of a user's class that cannot be created again from its config.

    Raises:
        ConfigError: it cannot.
    """
    kind = type(part)
    if "<" in kind.__qualname__ or (not _is_of_keras(kind) and arguments_of(part) is None):
        raise _recreation_error(noun, part)


def _metric(metric: Any, made_by: Node, place: str) -> tuple[str, Node]:
    """Returns the key of a metric in `metrics`, and its node; for the arguments see `_node`."""
    metric = "accuracy" if metric == "acc" else metric  # its only name in kexp
    node = _node("metrics", metric, place, made_by)
    key: str = metric if isinstance(metric, str) else getattr(metric, "name", "") or getattr(metric, "__name__", "<>")
    if "<" in key:  # a lambda, a partial
        key = place.replace(".", "_") if CALLED in node.name else node.name.rpartition(":")[2].rpartition(".")[2]
    return key, replace(node, path=f"metrics.{key}")


def _node(group: str, part: Any, place: str, made_by: Node) -> Node:
    """Returns the node of a loss or a metric that was passed to `compile`: a name, a function or an object.

    Args:
        group: `loss` or `metrics`.
        part: the argument of `compile`.
        place: `loss`, or `metrics.1` for the second metric.
        made_by: the model's node.

    Raises:
        ConfigError: no name in a config can create it again.
    """
    import keras

    if isinstance(part, str):
        if part in registry.names(group):
            return component_node(group, {"name": part}, group)
        part = getattr(keras, "losses" if group == "loss" else group).get(part)
    kind = part if isinstance(part, type) or inspect.isfunction(part) else type(part)
    if "<" not in kind.__qualname__:
        if inspect.isfunction(part):
            return component_node(group, {"name": _name(part, part.__name__)}, group)
        config = {} if part is kind else arguments_of(part)
        config = part.get_config() if config is None and _is_of_keras(kind) and hasattr(part, "get_config") else config
        if config is not None:
            return component_node(group, _given(group, kind, to_snake_case(kind.__name__), config), group)
    target = made_by.component.target
    if (name := _reference(part, target.partition(":")[0])) is not None:
        return component_node(group, {"name": name}, group)
    if inspect.isfunction(part) and (found := factory_of(part)) is not None:
        factory, arguments = found
        return component_node(group, _set(group, _name(factory, ""), arguments), group)
    if refers_to_layers(part) or _takes_spec(made_by) or made_by.component.reading().kind != "made":
        raise _recreation_error(GROUPS[group].noun, part)
    return component_node(group, {**made_by.parameters, "name": f"{target}{CALLED}{place}"}, group)


def _reference(part: Any, module: str) -> str | None:
    """Returns the reference of an object in the model's module or one of the user's that it imports, or None."""
    if inspect.ismethod(part):
        owner = _reference(part.__self__, module)
        return owner and f"{owner}.{part.__name__}"
    for home in modules_of(module):
        for name, each in vars(sys.modules[home]).items() if home in sys.modules else ():
            if each is part:
                return f"{home}:{name}"
    return None


def _recreation_error(noun: str, part: Any) -> ConfigError:
    name = part.__qualname__ if hasattr(part, "__qualname__") else type(part).__qualname__
    return ConfigError(
        f"model: is compiled with {'an' if noun == 'optimizer' else 'a'} {noun}, {name}, that no run could make again: "
        "define it in the module or give it a name there, and a class a get_config of all its settings"
    )


def _given(group: str, part: Any, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the node of an object's config, without defaults and without keys that the component does not have."""
    kind = part if isinstance(part, type) else type(part)
    return _set(group, _name(kind, name), config)


def _set(group: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a component's node with the parameters that differ from their defaults."""
    taken = {each.name: each.default for each in registry.find(group, name).signature().parameters}
    values = {key: shorten_float(value) for key, value in config.items() if key in taken}
    return {"name": name, **{key: value for key, value in values.items() if value != taken[key]}}


def _name(part: Any, name: str) -> str:
    """Returns the registered name of a Keras object, or the reference of a user's."""
    return name if _is_of_keras(part) else f"{part.__module__}:{part.__qualname__}"


def _is_of_keras(part: Any) -> bool:
    return str(part.__module__).startswith("keras.")
