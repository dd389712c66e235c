"""Which trials share a program: the same config but for numbers and seeds, the same data; callbacks may differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kexp.errors import ConfigError, in_a_line
from kexp.experiment import Prepared, own_modules
from kexp.fused.inputs.config_numbers import Key, changes_of, marked, numbers_of
from kexp.fused.shared import TRACING_LOCK, NotALaneError, settings_guarded
from kexp.fused.structure.callback_rules import callback_refusal
from kexp.fused.trial import Trial
from kexp.system.process_settings import BACKEND, PRECISION, set_by
from kexp.tracking import flatten

_SAID_AS = {name: f"trainer.{name}" for name in ("batch_size", "class_weight", "mixed_precision")}

__all__ = [
    "distinguishing_settings",
    "group_by_structure",
    "lane_refusal",
    "row_counts",
    "rows_digest",
    "structure_key",
]


def structure_key(prepared: Prepared, constants: frozenset[Key] = frozenset()) -> str:
    """A text that is equal for trials which may share a program.

    Args:
        prepared: the trial.
        constants: numbers that are no inputs of the program, so that they tell trials apart.
    """
    experiment, splits = prepared.experiment, prepared.splits
    numbers = {key: value for key, value in numbers_of(experiment).items() if key not in constants}
    trainer = experiment.trainer
    schedule = experiment.optimizer.common.get("schedule")
    length = trainer.epochs if schedule is not None and _open_length(schedule.parameters) else None
    content = {
        "config": marked(experiment, numbers),
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
            if node.component.group != "callbacks"  # each lane has its own
        ),
    }
    return json.dumps(content, sort_keys=True, default=str)


def rows_digest(prepared: Prepared) -> str:
    """What the training rows are."""
    return hashlib.sha256(prepared.splits.train.rows.tobytes()).hexdigest()


def row_counts(prepared: Prepared) -> tuple[int, int, int]:
    """Rows of an epoch, of a validation and of the test."""
    splits, trainer = prepared.splits, prepared.experiment.trainer
    epoch, steps = len(splits.train), trainer.steps_per_epoch
    if steps not in (None, -(-epoch // prepared.batch_size)):
        epoch = steps * prepared.batch_size
    validated = len(splits.validation or ())
    if trainer.validation_steps is not None:
        validated = min(validated, trainer.validation_steps * prepared.batch_size)
    return epoch, validated, len(splits.test or ())


def lane_refusal(trial: Trial) -> str:
    """Why a trial cannot be a lane, as far as its config and data tell; empty where nothing speaks against it."""
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
    return _unfit_callback(experiment.callbacks)


def _unfit_callback(nodes: Mapping[str, Any]) -> str:
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


def _open_length(parameters: Mapping[str, Any]) -> bool:
    """Whether a schedule's length follows the training's."""
    lengths = [parameters.get(key, 0) for key in ("decay_steps", "first_decay_steps")]
    shares = parameters.get("boundaries") or ()
    return None in lengths or any(0 < share < 1 for share in shares)


def distinguishing_settings(key: str, keys: Sequence[str]) -> str:
    """What makes a structure another than the first (of the first: than the next), as config keys with their values.

    Args:
        key: the structure's.
        keys: of all structures.
    """
    if len(keys) == 1:
        return "the only structure"
    mine, other = (flatten(json.loads(each)) for each in (key, keys[0] if key != keys[0] else keys[1]))
    differ = {name: value for name, value in mine.items() if name not in other or other[name] != value}
    found = {_SAID_AS.get(name, name.removeprefix("config.")): value for name, value in differ.items()}
    chosen = {name: value for name, value in found.items() if name.endswith(".name")}  # decides what else differs
    shown = sorted((chosen or found or {"its components": "of another version"}).items())
    return ", ".join(f"{name}={_short(value)}" for name, value in shown[:3]) + (", ..." if len(shown) > 3 else "")


def _short(value: Any, most: int = 40) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def group_by_structure(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Trials by their structure's key, in order of appearance."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(structure_key(trial.prepared), []).append(trial)
    return groups
