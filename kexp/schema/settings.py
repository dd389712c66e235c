"""The settings of a config that are no components: `trainer`, `tracking`, `save`, `sweep` and `fused`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from typing import Any, Literal, get_type_hints

from kexp.errors import ConfigError
from kexp.rules import Count, Fraction, Positive, Whole, check_value
from kexp.schema.mappings import as_mapping, refuse_unknown
from kexp.schema.remembered import remembered
from kexp.signatures import Parameter, argument_helps
from kexp.system.passwords import hide_password

__all__ = [
    "AUTO",
    "DEFAULT_FORMATS",
    "SETTINGS",
    "Fused",
    "Save",
    "Sweep",
    "Tracking",
    "Trainer",
    "models_kept",
    "settings_from",
    "settings_of",
]

AUTO = "auto"

DEFAULT_FORMATS = ("h5", "weights", "json")


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
        steps_per_execution: Steps that one call of the compiled function takes; `auto` chooses by the steps to train.
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
    """How a sweep is run. A single run refuses these keys.

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


def settings_from(key: str, value: Any) -> Any:
    """Return the checked settings of a config node, an instance of `SETTINGS[key]`.

    Raises:
        ConfigError: an unknown key, or a value against its rule.
    """
    return remembered(key, value, partial(_settings_from, key, value))


def _settings_from(key: str, value: Any) -> Any:
    kind = SETTINGS[key]
    given = as_mapping(key, value)
    hints = _hints(kind)
    refuse_unknown(key, given, set(hints))
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
