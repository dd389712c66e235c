"""What a valid experiment is: the typed form of a composed config, and the checks that need no compute.

`check` takes the plain nested dict that Hydra composed and returns an `Experiment`, or raises one sentence. Nothing
here imports Keras; a component's parameters are held against its signature.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal, get_type_hints

from kexp import registry
from kexp.errors import ConfigError, UnknownNameError
from kexp.groups import GROUPS, group_of_parameter
from kexp.layer_lists import refuse_unlistable
from kexp.mlflow_names import check_alias, check_model_name, check_tag, check_tag_text
from kexp.passwords import hide_password
from kexp.registry import Component
from kexp.rules import Count, Fraction, Positive, Whole, check_parameter, check_value
from kexp.run_names import check_run_name
from kexp.signatures import REQUIRED, UNREADABLE, Parameter, Signature, argument_helps

__all__ = [
    "Experiment",
    "Fused",
    "Node",
    "Save",
    "Sweep",
    "Taken",
    "Tracking",
    "Trainer",
    "check",
    "defaults_of",
    "models_kept",
    "optimizer_node",
    "settings_of",
]

AUTO = "auto"
DEFAULT_FORMATS = ("h5", "weights", "json")
DEFAULT_OPTIMIZER = "adam"  # of a config that names none, and a model that was not compiled by its own code


@dataclass(frozen=True)
class Trainer:
    """How to train: the arguments of Keras' fit and compile that are no components.

    Attributes:
        engine: `fit` trains by Keras' fit; `compiled` trains by one compiled JAX program, with `backend=jax`.
        epochs: The epoch that training ends with.
        batch_size: Rows of a step. Above the number of rows, all of them are one batch.
        validation_split: Share of the rows beside the test part that validates, where the data has no validation part.
        validation_freq: Epochs from one validation to the next.
        validation_steps: Batches of a validation; all of them unless set.
        shuffle: Whether each epoch has an order of its own, drawn from `seed`.
        class_weight: A weight for each class in the loss; `balanced` weighs each by the inverse of its share.
        initial_epoch: Epochs that count as done before training begins.
        changes: Numbers that become others while a compiled training goes on, as key -> epochs done -> value.
        steps_per_epoch: Steps that make an epoch; all of the rows unless set.
        steps_per_execution: Steps that one call of the compiled function takes; `auto` chooses by the length of a step.
        jit_compile: Whether XLA compiles the step; `auto` leaves it to the model's own code, and that to Keras.
        run_eagerly: Whether a step runs as Python, as for a debugger; `auto` leaves it to the model's own code.
        mixed_precision: Whether layers compute in 16-bit numbers and keep 32-bit weights.
        checkpoint: Whether training can go on after it was interrupted; `auto` is true in sweeps.
        checkpoint_epochs: Epochs from one checkpoint to the next; left to the seconds unless set.
        checkpoint_seconds: Seconds from one checkpoint to the next; null leaves it to the epochs.
        verbose: 0 is silent, 1 shows one live line, 2 shows a line for each epoch.
    """

    engine: Literal["fit", "compiled"] = "fit"
    epochs: Count = 20
    batch_size: Count = 32
    validation_split: Fraction = 0.2
    validation_freq: Count = 1
    validation_steps: Count | None = None
    shuffle: bool = True
    class_weight: Literal["balanced"] | dict[Any, float] | None = None
    initial_epoch: Whole = 0
    changes: dict[str, dict[int, float]] | None = None
    steps_per_epoch: Count | None = None
    steps_per_execution: Literal["auto"] | Count = "auto"
    jit_compile: Literal["auto"] | bool = "auto"
    run_eagerly: Literal["auto"] | bool = "auto"
    mixed_precision: bool = False
    checkpoint: Literal["auto"] | bool = "auto"
    checkpoint_epochs: Count | None = None
    checkpoint_seconds: Positive | None = 10.0
    verbose: Literal[0, 1, 2] = 1


@dataclass(frozen=True)
class Tracking:
    """Where runs are recorded.

    Attributes:
        enabled: Whether anything is recorded.
        uri: The store: an MLflow server or a database. MLFLOW_TRACKING_URI, else `mlflow.db` here, unless set.
        experiment: MLflow's experiment; MLFLOW_EXPERIMENT_NAME, else `kexp`, unless set.
        figures: Whether a run has its figures among its artifacts.
        run_name: The run's name, of config keys: `${optimizer.name}-${seed}`; of a sweep each trial's.
        tags: Tags of the run; of a sweep, its own and each trial's.
        description: What MLflow shows as the run's description, Markdown.
        system_metrics: Whether the machine is measured meanwhile; MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING unless set.
        artifacts: Files and folders of yours that are kept with the run, or with the sweep.
    """

    enabled: bool = True
    uri: str | None = None
    experiment: str | None = None
    figures: bool = True
    run_name: str | None = None
    tags: dict[str, Any] | None = None
    description: str | None = None
    system_metrics: bool | None = None
    artifacts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.uri is not None:  # a config is shown and kept
            object.__setattr__(self, "uri", hide_password(self.uri))


@dataclass(frozen=True)
class Save:
    """Which files a finished run leaves.

    Attributes:
        formats: Files of the model, of those that `kexp components format` lists; `auto` is h5, weights and json, less
            what cannot hold the model.
        keep: Whose models a sweep saves: `all`, `best`, `none` or `top:N`.
        model: Whether MLflow gets the model as a LoggedModel.
        register: A name in MLflow's model registry that gets the model; of a sweep, that of its best trial.
        alias: An alias for the version that is registered, `champion` say.
    """

    formats: list[str] = field(default_factory=lambda: [AUTO])
    keep: str = "top:5"
    model: bool = True
    register: str | None = None
    alias: str | None = None

    @property
    def files(self) -> list[str]:
        """The names of the formats, `auto` among them spelled out, each once."""
        several = (DEFAULT_FORMATS if name == AUTO else (name,) for name in self.formats)
        return list(dict.fromkeys(name for names in several for name in names))


@dataclass(frozen=True)
class Sweep:
    """How a sweep is run; a single run ignores it.

    Attributes:
        name: What the sweep is called; its date and time unless set.
        seeds: Adds `seed=range(N)` to the axes.
        folds: Cuts the rows beside the test part into N folds and adds `data.fold=range(N)` to the axes.
        objective: The metric that ranks trials, `val_loss` unless set; a list of several ends in their Pareto front.
        direction: Whether less or more of the objective is better; known from its name unless set.
        max_retries: How often a trial is tried again after its process died.
        trial_timeout_s: Seconds after which a trial is ended as FAILED.
        fail_fast: Whether the first failure ends the sweep.
        rerun: Whether trials that the store has finished already are run again.
    """

    name: str | None = None
    seeds: Count | None = None
    folds: Count | None = None
    objective: str | list[str] | None = None
    direction: Literal["minimize", "maximize"] | list[Literal["minimize", "maximize"]] | None = None
    max_retries: Whole = 1
    trial_timeout_s: Positive | None = None
    fail_fast: bool = False
    rerun: bool = False


@dataclass(frozen=True)
class Fused:
    """How trials run as lanes of compiled programs; an ordinary training ignores it.

    Attributes:
        max_lanes: Lanes of one program, by the device unless set. It decides the last bits of a result.
        memory_limit_mb: Megabytes for data and lanes; most of the machine's or the GPU's memory unless set.
        threads: Programs at once; one a core, at most four, unless set.
        strict: Whether a trial that cannot be a lane is an error.
        verify: So many lanes of a sweep, chosen at random, are trained again alone and compared to the last bit.
    """

    max_lanes: Count | None = None
    memory_limit_mb: Count | None = None
    threads: Count | None = None
    strict: bool = False
    verify: Whole = 0


SETTINGS: dict[str, type] = {
    "trainer": Trainer,
    "tracking": Tracking,
    "save": Save,
    "sweep": Sweep,
    "fused": Fused,
}


@dataclass(frozen=True)
class Node:
    """A component chosen in a config, with its parameters.

    Attributes:
        component: what the name stands for.
        parameters: the values of its own parameters, complete.
        common: the values of what every member of its group has (`data.feed`, `optimizer.schedule`).
        path: the config key of the node.
    """

    component: Component
    parameters: dict[str, Any]
    common: dict[str, Any]
    path: str

    @property
    def name(self) -> str:
        return self.component.name

    def as_dict(self) -> dict[str, Any]:
        """The node as config again, under the component's first name."""
        common = {key: value.as_dict() if isinstance(value, Node) else value for key, value in self.common.items()}
        return {"name": self.name, **self.parameters, **common}


@dataclass(frozen=True)
class Taken:
    """What a model's own code compiled it with; None for what it did not say."""

    optimizer: Node | None = None
    loss: Node | None = None
    metrics: dict[str, Node] | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)  # how the step is compiled, by the trainer's keys
    ignored: tuple[str, ...] = ()  # what nothing of kexp's stands for, as it was written
    unnamed: Mapping[str, ConfigError] = field(default_factory=dict)  # part -> why no config can name it


@dataclass(frozen=True)
class Experiment:
    """A whole config, checked."""

    name: str | None
    seed: int
    backend: str
    data: Node
    model: Node
    activation: Node
    optimizer: Node
    loss: Node | None
    metrics: dict[str, Node]
    callbacks: dict[str, Node]
    trainer: Trainer
    tracking: Tracking
    save: Save
    sweep: Sweep
    fused: Fused = Fused()
    metrics_follow_data: bool = False  # `metrics=[auto]`
    optimizer_follows_model: bool = False  # `optimizer=auto`, of which nothing is set
    optimizer_of_model: bool = False  # the model's own code compiles it with the optimizer that the node describes

    def nodes(self) -> Iterator[Node]:
        """Every chosen component."""
        yield from (self.data, self.model, self.activation, self.optimizer)
        if self.loss is not None:
            yield self.loss
        if self.optimizer.common["schedule"] is not None:
            yield self.optimizer.common["schedule"]
        yield from self.metrics.values()
        yield from self.callbacks.values()

    def compiled_metrics(self, *, rows_weighted: bool) -> tuple[dict[str, Node], dict[str, Node]]:
        """Returns the metrics as `compile` takes them: `metrics` and `weighted_metrics`.

        Args:
            rows_weighted: whether rows have sample weights. Each metric is then also measured with them; Keras calls it
                `weighted_NAME` if it is measured without them too.
        """
        asked = {key: node for key, node in self.metrics.items() if node.common.get("weighted")}
        rest = {key: node for key, node in self.metrics.items() if key not in asked}
        too = {key: node for key, node in rest.items() if rows_weighted and f"weighted_{key}" not in asked}
        return rest, {**too, **asked}

    def as_dict(self) -> dict[str, Any]:
        """The experiment as a plain config that checks to an equal experiment."""
        return {
            "name": self.name,
            "seed": self.seed,
            "backend": self.backend,
            "data": self.data.as_dict(),
            "model": self.model.as_dict(),
            "activation": self.activation.as_dict(),
            "optimizer": self.optimizer.as_dict() | ({"name": AUTO} if self.optimizer_follows_model else {}),
            "loss": {"name": AUTO} if self.loss is None else self.loss.as_dict(),
            "metrics": {key: node.as_dict() for key, node in self.metrics.items()}
            | ({AUTO: {"name": AUTO}} if self.metrics_follow_data else {}),
            "callbacks": {key: node.as_dict() for key, node in self.callbacks.items()},
            **{key: asdict(getattr(self, key)) for key in SETTINGS},
        }

    def choosing(self, loss: str, metrics: Mapping[str, str], targets: Mapping[str, str] | None = None) -> Experiment:
        """This experiment with what was left to the data chosen; explicit choices stay.

        Args:
            loss: the loss that `auto` stands for.
            metrics: the metrics that `auto` stands for, by key.
            targets: config key of a loss or a metric -> the form of targets that it takes.
        """
        changed = replace(self, optimizer_follows_model=False)
        if self.loss is None:
            changed = replace(changed, loss=component_node("loss", {"name": loss}, "loss"))
        if self.metrics_follow_data:
            chosen = {key: component_node("metrics", {"name": name}, f"metrics.{key}") for key, name in metrics.items()}
            changed = replace(changed, metrics=chosen | self.metrics, metrics_follow_data=False)
        return changed._taking(targets or {})

    def compiled_with(self, taken: Taken) -> Experiment:
        """This experiment with what its model's own code compiled, where the config names none."""
        changed = self
        if taken.optimizer is not None and self.optimizer_follows_model:
            changed = replace(
                changed, optimizer=taken.optimizer, optimizer_follows_model=False, optimizer_of_model=True
            )
        if taken.loss is not None and self.loss is None:
            changed = replace(changed, loss=taken.loss)
        if taken.metrics and self.metrics_follow_data:
            changed = replace(changed, metrics=taken.metrics | self.metrics, metrics_follow_data=False)
        return replace(changed, trainer=replace(self.trainer, **self.follows_model(taken)))

    def follows_model(self, taken: Taken) -> dict[str, Any]:
        """The trainer's settings that are left to the model's own code, and what that says."""
        return {key: value for key, value in taken.trainer.items() if getattr(self.trainer, key) == AUTO}

    def _taking(self, targets: Mapping[str, str]) -> Experiment:
        def taking(node: Node) -> Node:
            if node.path not in targets or node.common.get("targets", "") is not None:
                return node
            return replace(node, common={**node.common, "targets": targets[node.path]})

        if not targets or self.loss is None:
            return self
        metrics = {key: taking(node) for key, node in self.metrics.items()}
        return replace(self, loss=taking(self.loss), metrics=metrics)


def check(config: Mapping[str, Any]) -> Experiment:
    """The composed config as an experiment.

    Args:
        config: plain nested dict, interpolations resolved.

    Raises:
        ConfigError: the first thing wrong, as one sentence that names its key.
    """
    keys = [f.name for f in fields(Experiment) if f.default is MISSING]
    _refuse_unknown("", config, {*keys, *SETTINGS})
    for key in keys:
        if key not in config:
            raise ConfigError(f"{key}: must be given")
    check_value("seed", config["seed"], Whole)
    if config["seed"] >= 2**63:
        raise ConfigError.at("seed", "must be less than 2**63", config["seed"])
    check_value("backend", config["backend"], Literal["tensorflow", "jax", "torch"])
    check_value("name", config["name"], str | None)
    loss = _as_mapping("loss", config["loss"])
    if loss.get("name") == AUTO and len(loss) > 1:
        first = next(key for key in loss if key != "name")
        raise ConfigError(f"loss.{first}: auto takes no parameters; choose a loss by loss=NAME")
    trainer = _settings("trainer", config["trainer"])
    tracking = _settings("tracking", config["tracking"])
    _check_tracking(tracking, config)
    _check_save(_settings("save", config["save"]), tracking)
    if trainer.engine == "compiled" and config["backend"] != "jax":
        raise ConfigError.at("backend", "must be jax with trainer.engine=compiled", config["backend"])
    if trainer.changes and trainer.engine != "compiled":
        raise ConfigError("trainer.changes: needs trainer=compiled, whose programs take numbers that change")
    return Experiment(
        name=config["name"],
        seed=config["seed"],
        backend=config["backend"],
        data=component_node("data", config["data"], "data"),
        model=component_node("model", config["model"], "model"),
        activation=component_node("activation", config["activation"], "activation"),
        optimizer=optimizer_node(config["optimizer"]),
        optimizer_follows_model=_is_left_open(config["optimizer"]),
        loss=None if loss.get("name") == AUTO else component_node("loss", loss, "loss"),
        metrics=_several("metrics", config["metrics"]),
        metrics_follow_data=AUTO in _as_mapping("metrics", config["metrics"]),
        callbacks=_several("callbacks", config["callbacks"]),
        **{key: _settings(key, config.get(key, {})) for key in SETTINGS},
    )


def _check_tracking(tracking: Tracking, config: Mapping[str, Any]) -> None:
    if tracking.experiment is not None and not tracking.experiment.strip():
        raise ConfigError.at("tracking.experiment", "must be a name", tracking.experiment)
    if tracking.run_name is not None:
        check_run_name(tracking.run_name, config)
    for name, value in (tracking.tags or {}).items():
        check_tag("tracking.tags", str(name), value)
    if tracking.description is not None:
        check_tag_text("tracking.description", tracking.description)


def _check_save(save: Save, tracking: Tracking) -> None:
    """That what is asked for goes together: a registered model is one that is saved."""
    models_kept(save.keep)
    if save.register is None:
        if save.alias is not None:
            raise ConfigError.at(
                "save.alias", "must be given with save.register=NAME, the model that it is of", save.alias
            )
        return
    check_model_name("save.register", save.register)
    if not tracking.enabled:
        raise ConfigError.at(
            "save.register", "must not be given with tracking=none, which has no registry", save.register
        )
    if not save.model:
        raise ConfigError.at("save.model", "must be true with save.register", save.model)
    if save.alias is not None:
        check_alias("save.alias", save.alias)


def models_kept(keep: str) -> int | None:
    """How many of a sweep's trials `save.keep` names, the best ones; None for all.

    Raises:
        ConfigError: it is none of `all`, `best`, `none` and `top:N`.
    """
    named = {"all": None, "best": 1, "none": 0}
    if keep in named:
        return named[keep]
    found = re.fullmatch(r"top:([1-9][0-9]*)", keep)
    if found is None:
        raise ConfigError.at("save.keep", "must be all, best, none or top:N with N at least 1", keep)
    return int(found[1])


def component_node(group: str, value: Any, path: str) -> Node:
    """A component node, its name found, its parameters checked and completed with their defaults.

    Args:
        group: the component's group.
        value: a name, or a mapping with `name` and parameters.
        path: the config key, for messages.

    Raises:
        ConfigError: unknown name or parameter, a value against its rule, a required parameter missing.
    """
    given = dict(_as_mapping(path, value))
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"{path}.name: must be the name of {GROUPS[group].one}, one of those that `kexp components {group}` lists"
        )
    component = registry.find(group, name, path)
    signature = component.signature()
    owner = GROUPS[group]
    common = {p.name: given.pop(p.name, p.default) for p in component.common if p.name not in signature}
    for parameter in component.common:
        if parameter.name in common:
            check_parameter(f"{path}.{parameter.name}", common[parameter.name], parameter)
    for taken in signature.taken:
        if taken in given and not signature.open:
            raise ConfigError(
                f"{path}.{taken}: {name} is read as a {owner.noun} itself, which Keras calls with "
                f"{' and '.join(signature.taken)}; if it makes one, give its parameters defaults"
            )
    known = {p.name for p in signature.parameters} | set(owner.passes)
    if not signature.open or component.exported:
        _refuse_unknown(path, given, known | set(common))
    return Node(component, _parameters(component, path, given, signature), common, path)


def defaults_of(component: Component) -> dict[str, Any]:
    """A component's config node as its option provides it: its name, its parameters' defaults, its group's common
    parameters. A required parameter is Hydra's `???`."""
    node: dict[str, Any] = {"name": component.name}
    signature = component.signature()
    for parameter in signature.parameters:
        if parameter.default is not UNREADABLE:
            node[parameter.name] = "???" if parameter.default is REQUIRED else _plain(parameter.default)
    for parameter in component.common:
        node.setdefault(parameter.name, parameter.default)
    return node


def settings_of(key: str) -> tuple[Parameter, ...]:
    """The settings of a config node that is no component, in their order: `trainer`, `save`, ...

    Args:
        key: one of `SETTINGS`.
    """
    kind, hints = SETTINGS[key], _hints(SETTINGS[key])
    helps, defaults = argument_helps(kind.__doc__ or ""), kind()
    return tuple(
        Parameter(each.name, getattr(defaults, each.name), hints[each.name], helps.get(each.name, ""))
        for each in fields(kind)
    )


def _parameters(owner: Component, path: str, given: dict[str, Any], signature: Signature) -> dict[str, Any]:
    complete: dict[str, Any] = {}
    for parameter in signature.parameters:
        key = f"{path}.{parameter.name}"
        if parameter.name in given:
            value = given.pop(parameter.name)
            if value == "???":  # Hydra's word for a value that is still missing
                raise ConfigError(f"{key}: must be given")
        elif parameter.default is REQUIRED:
            raise ConfigError(f"{key}: must be given")
        elif parameter.default is UNREADABLE:
            continue
        else:
            value = _plain(parameter.default)
        group = None if signature.is_plain(parameter.name) else group_of_parameter(parameter.name)
        if parameter.name == "layers" and isinstance(value, (str, Mapping)):
            value = [value]
        if group == "layer" and _are_layers(owner, value):
            value = _layers(owner, key, value)
        elif group is not None and isinstance(value, Mapping):
            value = component_node(group, value, key).as_dict()
        elif group is not None and isinstance(value, str) and group != "layer":
            value = registry.find(group, value, key).name
        elif value is not None or parameter.default is not None:
            check_parameter(key, value, parameter)
            if isinstance(parameter.default, float) and type(value) is int:
                value = float(value)  # 1 and 1.0 are one value: one fingerprint, and one program's number
        complete[parameter.name] = value
    return complete | given


def _are_layers(owner: Component, value: Any) -> bool:
    """Whether a parameter that may hold layers does: another's `layers` may be numbers, and `layer` a layer's name."""
    if isinstance(value, (list, tuple)):
        return owner.distribution == registry.OURSELVES or any(isinstance(each, (str, Mapping)) for each in value)
    return isinstance(value, str) and owner.group == "layer"


def _layers(owner: Component, key: str, value: Any) -> Any:
    """A layer, or layers in a list, each as a node."""
    if isinstance(value, str):
        return component_node("layer", value, key).as_dict()
    nodes = [component_node("layer", each, f"{key}[{place}]") for place, each in enumerate(value)]
    if key.endswith(".layers"):
        refuse_unlistable({node.path: node.name for node in nodes if node.component.distribution == registry.OURSELVES})
    return [node.as_dict() for node in nodes]


def _is_left_open(value: Any) -> bool:
    """Whether a config's optimizer is nobody's choice: `auto`, with nothing set."""
    given = _as_mapping("optimizer", value)
    return given.get("name") == AUTO and {**_left_open(), **given} == _left_open()


@lru_cache
def _left_open() -> dict[str, Any]:
    return {**defaults_of(registry.find("optimizer", DEFAULT_OPTIMIZER)), "name": AUTO}


def optimizer_node(value: Any) -> Node:
    """The optimizer's node, `lr` folded into `learning_rate` and the schedule a node of its own."""
    if _as_mapping("optimizer", value).get("name") == AUTO:
        value = {**_as_mapping("optimizer", value), "name": DEFAULT_OPTIMIZER}
    node = component_node("optimizer", value, "optimizer")
    rate = node.common.pop("lr", None)
    if rate is not None:
        check_value("optimizer.lr", rate, float)
        if rate <= 0:
            raise ConfigError.at("optimizer.lr", "must be greater than 0", rate)
        node.parameters["learning_rate"] = rate
    schedule = node.common.get("schedule")
    if schedule is not None:
        if node.common.get("decay"):
            raise ConfigError("optimizer.decay: must be 0 with a schedule, which sets the rate by itself")
        node.common["schedule"] = component_node("schedule", schedule, "optimizer.schedule")
    return node


def _several(group: str, value: Any) -> dict[str, Node]:
    chosen = _as_mapping(group, value)
    return {
        key: component_node(group, {"name": key, **each} if isinstance(each, Mapping) else each, f"{group}.{key}")
        for key, each in chosen.items()
        if each is not None and key != AUTO
    }


def _settings(key: str, value: Any) -> Any:
    kind = SETTINGS[key]
    given = _as_mapping(key, value)
    hints = _hints(kind)
    _refuse_unknown(key, given, set(hints))
    whole = {
        name: [each] if isinstance(each, str) and hints[name] == list[str] else each for name, each in given.items()
    }
    for name, each in whole.items():
        check_value(f"{key}.{name}", each, hints[name])
    return kind(**whole)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    """Cached: a sweep checks thousands of configs."""
    return get_type_hints(kind, include_extras=True)


def _as_mapping(path: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise ConfigError.at(path, "must be a name, or a mapping with a name and parameters", value)
    return value


def _refuse_unknown(path: str, given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise UnknownNameError(
                f"{path}.{name}" if path else str(name), f"key of {path}" if path else "key", name, known
            )


def _plain(value: Any) -> Any:
    """A default as config can hold it."""
    if isinstance(value, tuple):
        return list(value)
    return value
