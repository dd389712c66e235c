"""Check that data, loss, metrics and model fit together, and choose those that are `auto`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kexp.traits.declaring import Inputs, Traits
from kexp.traits.keras_rules import rules_of_loss

__all__ = [
    "WITHOUT_ACTIVATION",
    "choices_for",
    "inputs_problem",
    "loss_beside",
    "output_for",
    "targets_problem",
]

WITHOUT_ACTIVATION = ("linear", "saved", "sequential")  # kexp's models that ignore the group `activation`


def choices_for(task: str) -> tuple[str, dict[str, str]]:
    """Return the loss, and the metrics by key, for `auto`."""
    if task == "regression":
        return "mean_squared_error", {"mean_absolute_error": "mean_absolute_error"}
    if task == "labels":
        return "binary_crossentropy", {"binary_accuracy": "binary_accuracy", "auc": "auc"}
    return "sparse_categorical_crossentropy", {"accuracy": "accuracy"}


def loss_beside(chosen: str, metrics: Mapping[str, Traits], task: str, outputs: int) -> str:
    """Return the loss for `auto` with these metrics: `chosen`, unless they need another form of targets."""
    for name in (chosen, "categorical_crossentropy", "binary_crossentropy"):
        if targets_problem(name, rules_of_loss(name), metrics, task, outputs) is None:
            return name
    return chosen


def output_for(loss: Traits, parameters: Mapping[str, Any], *, task: str, outputs: int) -> tuple[int, str]:
    """Return the width and the activation of the output layer.

    Args:
        loss: the loss's traits.
        parameters: the loss's parameters; with `from_logits` the output is linear.
        task: classification, regression or labels.
        outputs: number of classes, of columns of a regression's targets, or of labels.
    """
    if task == "regression":
        return outputs, "linear" if parameters.get("from_logits") else loss.regression_output
    if task == "labels":
        scores = parameters.get("from_logits") or loss.output == "linear"
        return outputs, "linear" if scores else "sigmoid"
    units = 1 if loss.targets == "binary" and outputs == 2 else outputs
    return units, "linear" if parameters.get("from_logits") else loss.output


def inputs_problem(needs: Inputs, shape: tuple[int, ...], image_shape: tuple[int, ...] | None) -> str | None:
    """Return why rows of a shape do not suit a model; None if they do.

    Args:
        needs: the model's `Traits.inputs`.
        shape: one row's shape.
        image_shape: (height, width, channels) of images whose rows are flat; else None.
    """
    if needs == "any" or image_shape is not None or len(shape) in (2, 3):
        return None
    wanted = {
        "images": "images (height, width, channels)",
        "sequences": "sequences (steps, features), or images to read row by row",
    }
    return f"needs {wanted[needs]}, but the data's rows have shape {shape}"


def targets_problem(
    loss_name: str,
    loss: Traits,
    metrics: Mapping[str, Traits],
    task: str,
    outputs: int,
    positions: tuple[int, ...] = (),
) -> str | None:
    """Return a sentence on why data, loss and metrics do not fit together and what to choose; None if they fit.

    Args:
        loss_name: the loss's name.
        loss: its traits.
        metrics: name -> traits of each metric.
        task: classification, regression or labels.
        outputs: number of classes, of columns of a regression's targets, or of labels.
        positions: the positions in a row that have targets; () for one target a row.
    """
    whose = {"labels": "several labels a row"}.get(task, f"a {task}")
    if loss.targets == "labels" and (task == "classification" or outputs == 1):
        return (
            f"loss: {loss_name} wants several labels a row, shape (rows, labels), but the data has one target a row; "
            f"choose loss={choices_for(task)[0]}"
        )
    soft = task == "regression" and loss.regression_targets == "shares" and outputs > 1
    if loss.task is not None and loss.task != task and not soft:
        return f"loss: {loss_name} is for a {loss.task}, but the data is {whose}; choose loss={choices_for(task)[0]}"
    form = _form(loss, task, outputs)
    for name, metric in metrics.items():
        instead = f"choose metrics=[{_metric_for(name, form)}]"
        if metric.task is not None and metric.task != task and not (soft and metric.targets in ("any", "one_hot")):
            return f"metrics: {name} is for a {metric.task}, but the data is {whose}; {instead}"
        if positions and name in _FLAT:
            return f"metrics: {name} wants one target a row, but the data has one at each of {positions}; {instead}"
        if form not in _ACCEPTED[metric.targets]:
            other = f" or loss={_loss_for(metric.targets)}" if task == "classification" else ""
            return (
                f"metrics: {name} wants {_WORDS[metric.targets]}, but loss={loss_name} trains on {_WORDS[form]}; "
                f"{instead}{other}"
            )
    return None


_WORDS = {
    "class_index": "class indices",
    "one_hot": "one-hot targets",
    "binary": "0/1 targets",
    "signed": "0/1 or -1/1 targets",
    "dense": "one-hot or numeric targets",
    "labels": "rows of labels",
    "column": "one column of 0/1 targets",
    "multi_hot": "columns of 0/1 targets",
    "numbers": "numbers",
}

# Form of targets that a metric needs -> the forms that the loss may train on.
_ACCEPTED = {
    "any": {"class_index", "one_hot", "column", "multi_hot", "signed", "numbers"},
    "class_index": {"class_index"},
    "one_hot": {"one_hot"},
    "binary": {"one_hot", "column", "multi_hot"},
    "signed": {"one_hot", "column", "multi_hot", "signed"},
    "dense": {"one_hot", "column", "multi_hot", "signed", "numbers"},
}

# Metrics that Keras computes only for one row of numbers a row of data.
_FLAT = frozenset({"f1_score", "f_beta_score", "r2_score"})

# The same metric for class indices, one-hot rows and one column of 0/1.
_SAME_METRIC = (
    ("sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy"),
    ("sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy", "binary_accuracy"),
    ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"),
    ("mean_io_u", "one_hot_mean_io_u", "binary_io_u"),
    ("io_u", "one_hot_io_u", "binary_io_u"),
)


def _form(loss: Traits, task: str, outputs: int) -> str:
    """Return the form of the targets that the loss trains on."""
    targets = loss.targets_for(task)
    if task == "labels":
        return "signed" if targets == "signed" else "multi_hot"
    if task == "regression":
        return {"binary": "multi_hot", "signed": "signed", "shares": "one_hot"}.get(targets, "numbers")
    if targets in ("binary", "signed"):
        return "one_hot" if outputs != 2 else "column" if targets == "binary" else "signed"
    return "class_index" if targets == "class_index" else "one_hot"


def _metric_for(name: str, form: str) -> str:
    if form in ("numbers", "signed"):
        return "mean_absolute_error"
    if form == "multi_hot":
        return "binary_accuracy"
    for family in _SAME_METRIC:
        if name in family:
            return family[("class_index", "one_hot", "column").index(form)]
    return "accuracy"


def _loss_for(targets: str) -> str:
    if targets == "class_index":
        return "sparse_categorical_crossentropy"
    return "binary_crossentropy" if targets == "binary" else "categorical_crossentropy"
