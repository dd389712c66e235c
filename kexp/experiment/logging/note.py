"""The description of a run on MLflow's page: its data, its model, its result and its command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kexp.experiment.logging.lineage import data_name
from kexp.system.wording import counted
from kexp.training.progress import format_metrics, format_seconds

if TYPE_CHECKING:
    from kexp.data import DataSpec
    from kexp.experiment.prepared import Prepared
    from kexp.training import History

__all__ = ["NOTE", "note_of", "outcome_of"]

NOTE = "mlflow.note.content"  # the tag of a run's description in MLflow
_LONGEST_COMMAND = 4000  # MLflow's limit for the whole description is 8,000 characters


def note_of(prepared: Prepared, size: Mapping[str, int], command: str, outcome: str = "") -> str:
    """Returns the description in Markdown: the user's own text, and below it what a reader asks first.

    Args:
        prepared: the experiment.
        size: the size of the model, as `model_size` returns it.
        command: what the user wrote to start the run; empty if it is not known.
        outcome: as `outcome_of` returns it; empty before the end.
    """
    experiment, splits = prepared.experiment, prepared.splits
    rows = ", ".join(f"{len(part):,} {name}" for name, part in splits.parts.items())
    chosen = {"optimizer": experiment.optimizer, "loss": experiment.loss}
    compiled = ", ".join(f"{group} `{node.name}`" for group, node in chosen.items() if node is not None)
    facts = [
        f"- Data: `{data_name(experiment.data)}`, {_data_line(splits.spec)}; rows: {rows}",
        f"- Model: `{experiment.model.name}` with {size['model_parameters']:,} parameters; {compiled}",
    ]
    given = experiment.tracking.description
    if command and len(command) <= _LONGEST_COMMAND:  # not a block of code, whose long line would widen MLflow's page
        quotes = "`" * (1 + max(map(len, re.findall("`+", command)), default=0))
        facts.append(f"- Command: {quotes}{command}{quotes}")
    paragraphs = [given or "", outcome, "\n".join(facts)]
    return "\n\n".join(each for each in paragraphs if each)


def outcome_of(history: History, tested: Mapping[str, float], duration_s: float) -> str:
    """Returns the sentence on the result of a run: its metrics, its epochs and its duration."""
    epochs = counted(len(history), "epoch")
    stopped = f"; stopped: {history.stopped}" if history.stopped else ""
    metrics = format_metrics(tested or history.last).replace("  ", ", ")
    return f"**{metrics}** after {epochs}, {format_seconds(duration_s)}{stopped}"


def _data_line(spec: DataSpec) -> str:
    """Describes the features and the targets, for example "4 features, 3 classes"."""
    shape = spec.feature_shape
    sort = "texts" if spec.words else f"{shape[0]} features" if len(shape) == 1 else " x ".join(map(str, shape))
    if spec.task == "classification":
        return f"{sort}, {len(spec.classes or ()) or spec.outputs} classes"
    names = [str(each) for each in spec.target_names or ()]
    goals = ", ".join(f"`{name}`" for name in names) if 0 < len(names) <= 5 else f"{spec.outputs} outputs"
    return f"{sort}, {'labels' if spec.task == 'labels' else 'target'} {goals}"
