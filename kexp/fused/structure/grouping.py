"""Which trials can share a program: those with the same data and the same config except for numbers and seeds.

Callbacks may differ too, since each lane has its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kexp.errors import ConfigError, in_a_line
from kexp.experiment import Prepared, own_modules
from kexp.fused.inputs.config_numbers import ConfigPath, changes_of, masked_sections, numbers_of
from kexp.fused.shared import TRACING_LOCK, NotALaneError, settings_guarded
from kexp.fused.structure.callback_rules import callback_refusal
from kexp.fused.trial import Trial
from kexp.system.process_settings import BACKEND, PRECISION, set_by
from kexp.tracking import flatten

__all__ = [
    "distinguishing_settings",
    "group_by_structure",
    "lane_refusal",
    "row_counts",
    "rows_digest",
    "structure_key",
]

# The config keys of values that `structure_key` contains outside of its copy of the config.
_CONFIG_KEYS = {name: f"trainer.{name}" for name in ("batch_size", "class_weight", "mixed_precision")}


def structure_key(prepared: Prepared, constants: frozenset[ConfigPath] = frozenset()) -> str:
    """Returns a text that is equal for trials that may share a program, as JSON.

    Args:
        prepared: the trial.
        constants: numbers that are not inputs of the program, so that trials must not differ in them.
    """
    experiment, splits = prepared.experiment, prepared.splits
    numbers = {key: value for key, value in numbers_of(experiment).items() if key not in constants}
    trainer = experiment.trainer
    schedule = experiment.optimizer.common.get("schedule")
    length = trainer.epochs if schedule is not None and _follows_epochs(schedule.parameters) else None
    content = {
        "config": masked_sections(experiment, numbers),
        "metrics": {key: node.as_dict() for key, node in experiment.metrics.items()},
        "data": splits.data.digest,
        "targets": splits.train.targets,
        "encoded": rows_digest(prepared) if splits.encoding else None,
        "rows": row_counts(prepared),
        "batch_size": prepared.batch_size,
        "class_weight": trainer.class_weight is not None,
        "mixed_precision": trainer.mixed_precision,
        "schedule_length": length,
        "components": sorted(
            f"{node.component.target} {node.component.distribution} {node.component.version}"
            for node in experiment.nodes()
            if node.component.group != "callbacks"
        ),
    }
    return json.dumps(content, sort_keys=True, default=str)


def rows_digest(prepared: Prepared) -> str:
    """Returns a hash of the numbers of the training rows."""
    return hashlib.sha256(prepared.splits.train.rows.tobytes()).hexdigest()


def row_counts(prepared: Prepared) -> tuple[int, int, int]:
    """Returns how many rows an epoch trains on, a validation evaluates and the test evaluates; 0 without that part."""
    splits, trainer = prepared.splits, prepared.experiment.trainer
    epoch, steps = len(splits.train), trainer.steps_per_epoch
    if steps not in (None, -(-epoch // prepared.batch_size)):
        epoch = steps * prepared.batch_size
    validated = len(splits.validation or ())
    if trainer.validation_steps is not None:
        validated = min(validated, trainer.validation_steps * prepared.batch_size)
    return epoch, validated, len(splits.test or ())


def lane_refusal(trial: Trial) -> str:
    """Returns why a trial cannot be a lane, as a sentence; empty if its config, data and callbacks allow it."""
    prepared = trial.prepared
    experiment = prepared.experiment
    trainer = experiment.trainer
    if trainer.run_eagerly is True:
        return "trainer.run_eagerly: a lane's steps are compiled"
    if own := set_by(own_modules(experiment)).keys() - {BACKEND, *PRECISION}:
        return f"a module sets {', '.join(sorted(own))}, which other trials share"
    rows = len(prepared.splits.train)
    rest = rows % prepared.batch_size
    if rest and row_counts(prepared)[0] != rows:
        return (
            f"trainer.steps_per_epoch: {trainer.steps_per_epoch} steps with a last batch of "
            f"{rest} rows make epochs of different shapes"
        )
    try:
        changes_of(experiment)
    except ConfigError as error:
        return str(error)
    return _refused_callback(experiment.callbacks)


def _refused_callback(nodes: Mapping[str, Any]) -> str:
    """Builds callbacks; returns why one of them cannot work on a lane, as a sentence, or an empty string."""
    from kexp.build import build_callbacks

    if not nodes:
        return ""
    try:
        with TRACING_LOCK, settings_guarded():
            return callback_refusal(dict(zip(nodes, build_callbacks(nodes), strict=True)))
    except ConfigError as error:
        return str(error)
    except NotALaneError as error:
        return f"callbacks: making one {error}"
    except (Exception, SystemExit) as error:
        return f"callbacks: {in_a_line(error)}"


def _follows_epochs(parameters: Mapping[str, Any]) -> bool:
    """Returns whether the length of a learning rate schedule depends on the number of epochs."""
    lengths = [parameters.get(key, 0) for key in ("decay_steps", "first_decay_steps")]
    shares = parameters.get("boundaries") or ()
    return None in lengths or any(0 < share < 1 for share in shares)


def distinguishing_settings(key: str, keys: Sequence[str]) -> str:
    """Returns the settings in which a structure differs from the first one, or the first one from the second.

    Args:
        key: the key of the structure.
        keys: the keys of all structures.

    Returns:
        At most three config keys with their values, for the sweep's closing lines.
    """
    if len(keys) == 1:
        return "the only structure"
    settings, others = (flatten(json.loads(each)) for each in (key, keys[0] if key != keys[0] else keys[1]))
    differ = {name: value for name, value in settings.items() if name not in others or others[name] != value}
    found = {_CONFIG_KEYS.get(name, name.removeprefix("config.")): value for name, value in differ.items()}
    chosen = {name: value for name, value in found.items() if name.endswith(".name")}  # these decide the other keys
    shown = sorted((chosen or found or {"its components": "of another version"}).items())
    return ", ".join(f"{name}={_short(value)}" for name, value in shown[:3]) + (", ..." if len(shown) > 3 else "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def group_by_structure(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Returns the key of each structure, in order of appearance -> its trials."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(structure_key(trial.prepared), []).append(trial)
    return groups
