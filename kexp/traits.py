"""What a loss, a metric or a model needs of the data: said by the component itself, or read off Keras' names.

A plugin declares it on the factory:

    @kexp.declare(targets="one_hot", output="softmax")
    def my_loss(gamma: float = 2.0): ...

Keras' exports declare nothing and are not imported to be asked; their names tell, by the rules in `_rules_of_loss` and
`_rules_of_metric`. What neither declares nor has such a name takes the targets as numbers (a loss) or is not questioned
(a metric). Nothing here imports Keras or NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

from kexp.reading import is_there_already
from kexp.registry import OURSELVES, Component
from kexp.serving.parts import from_factory
from kexp.signatures import to_snake_case

if TYPE_CHECKING:
    from kexp.schema import Node

__all__ = [
    "WITHOUT_ACTIVATION",
    "Traits",
    "choices_for",
    "classes_of",
    "declare",
    "function_key",
    "inputs_problem",
    "loss_beside",
    "of",
    "of_node",
    "output_for",
    "says_targets",
    "targets_problem",
]

Targets = Literal["class_index", "one_hot", "binary", "signed", "labels", "dense", "any"]
Inputs = Literal["any", "images", "sequences"]
Task = Literal["classification", "regression", "labels"]

# The activation of the output layer that goes with a classification's targets.
_OUTPUTS = {"class_index": "softmax", "one_hot": "softmax", "binary": "sigmoid", "signed": "linear"}
WITHOUT_ACTIVATION = ("linear", "saved", "sequential")  # kexp's models that the group `activation` says nothing to
_ATTRIBUTE, _CLASSES = "kexp_traits", "kexp_classes"
_TARGETS, _INPUTS = get_args(Targets), get_args(Inputs)


@dataclass(frozen=True)
class Traits:
    """What a component needs of the data.

    Attributes:
        targets: "class_index": whole numbers, shape (batch,). "one_hot": a column a class. "binary": one column of
            0 and 1 for two classes, one-hot for more. "signed": the same of -1 and 1. "labels": several in a row, shape
            (batch, labels), which are a regression's targets here. "dense": regression targets as they are, classes
            one-hot. "any": whatever the loss trains on (metrics only).
        regression_targets: for a regression: "dense", or "binary", "signed" or "non_negative" where they must lie in
            0..1, in -1..1, or not below 0; "shares" where a row must sum to 1, as soft labels do.
        output: activation of the output layer for a classification.
        regression_output: activation of the output layer for a regression.
        inputs: "images" (height, width, channels), "sequences" (steps, features), or "any".
        task: the one task that it makes sense for, or None.
    """

    targets: Targets = "any"
    regression_targets: Literal["dense", "binary", "signed", "non_negative", "shares"] = "dense"
    output: str = "softmax"
    regression_output: str = "linear"
    inputs: Inputs = "any"
    task: Task | None = None

    def targets_for(self, task: str) -> Targets | Literal["non_negative", "shares"]:
        """The form that the data's targets must take for a loss."""
        if task == "regression" and (self.task is None or self.regression_targets == "shares"):
            return self.regression_targets
        if task == "labels" and self.targets in ("one_hot", "signed"):
            return "signed" if self.regression_targets == "signed" else "dense"
        return "dense" if self.targets in ("any", "labels") else self.targets


Factory = TypeVar("Factory", bound=Callable[..., Any])


def declare(
    *,
    targets: Targets | None = None,
    output: str | None = None,
    regression_output: str | None = None,
    inputs: Inputs | None = None,
    task: Task | None = None,
    classes: Sequence[str] = (),
) -> Callable[[Factory], Factory]:
    """Says on a component's factory what it needs of the data, and what saved models need of it.

    Args:
        targets: as in `Traits`.
        output: as in `Traits`.
        regression_output: as in `Traits`.
        inputs: as in `Traits`.
        task: as in `Traits`.
        classes: `module:Class` of each Keras class of one's own that a saved model refers to, for a factory that
            imports it only when it is called: a process that loads the model imports these first.

    Raises:
        ValueError: a word that does not exist.
    """
    if targets is not None and targets not in _TARGETS:
        raise ValueError(f"targets must be one of {', '.join(_TARGETS)}, got {targets!r}")
    if inputs is not None and inputs not in _INPUTS:
        raise ValueError(f"inputs must be one of {', '.join(_INPUTS)}, got {inputs!r}")
    if task is None and targets in ("class_index", "one_hot"):
        task = "classification"
    given = {
        "targets": targets,
        "regression_targets": targets if targets in ("binary", "signed") else None,
        "output": output,
        "regression_output": regression_output,
        "inputs": inputs,
        "task": task,
    }
    told = {key: value for key, value in given.items() if value is not None}

    def mark(factory: Factory) -> Factory:
        if told:
            setattr(factory, _ATTRIBUTE, Traits(**told))  # type: ignore[arg-type]
        setattr(factory, _CLASSES, tuple(classes))
        return factory

    return mark


def of(component: Component, parameters: Mapping[str, Any] | None = None, targets: str | None = None) -> Traits:
    """What a component needs of the data.

    Args:
        component: a loss, a metric or a model.
        parameters: the ones it is built with; logits of two classes want two outputs, for one logit's sign says what
            a threshold of 0.5 does not.
        targets: the form of a classification's targets, where the config says it.

    Raises:
        ComponentError: a plugin's component that does not import.
    """
    traits = _declared(component) or _by_name(component)
    if targets in _OUTPUTS:
        output = traits.output if targets == traits.targets else _OUTPUTS[targets]
        traits = replace(traits, targets=cast(Targets, targets), output=output)
    if traits.targets == "binary" and component.group == "loss" and (parameters or {}).get("from_logits"):
        return replace(traits, targets="one_hot")
    return traits


def of_node(node: Node) -> Traits:
    """What the component of a loss's or a metric's node needs of the data."""
    return of(node.component, node.parameters, node.common.get("targets"))


def says_targets(component: Component) -> bool:
    """Whether the form of the targets is known: the component declares it, or it is Keras' own."""
    if component.distribution == OURSELVES:
        return True
    return _declared(component) is not None or _keras_name(component) is not None


def classes_of(component: Component) -> dict[str, Any]:
    """What models that were made with a component refer to by name, and Keras does not know.

    The Keras classes that its module defines, and those that it declares; itself, where it is a class, or an object of
    one. A function that is the part itself goes by the name that the config has for it.

    Raises:
        ComponentError: the component, or what it declares, does not import.
    """
    made = component.load()
    kind = made if isinstance(made, type) else type(made)
    found: dict[str, Any] = {}
    if component.reading().kind == "itself":
        found[function_key(component.group, component.name)] = made
    elif kind is made or is_there_already(made):
        found[kind.__name__] = kind
    if component.group == "activation" and component.reading().kind == "made":
        found[function_key(component.group, component.name)] = from_factory(made)
    home = component.target.partition(":")[0] if is_there_already(made) else getattr(made, "__module__", "")
    module = sys.modules.get(home)
    for name, each in vars(module).items() if module is not None else ():
        if isinstance(each, type) and each.__module__ == home and hasattr(each, "get_config"):
            found[each.__name__] = each
        elif component.group == "model" and _is_own_function(name, each):
            found[name] = each  # of a Lambda layer, or an activation in it
    for target in getattr(made, _CLASSES, ()):
        kind = replace(component, target=target).load()
        found[kind.__name__] = kind
    return found


def _is_own_function(name: str, value: Any) -> bool:
    """Whether a module's name is a function that Keras does not have by that name: in a file it goes by it."""
    import keras

    if not isinstance(value, FunctionType) or value.__name__ != name or value.__module__.startswith("keras."):
        return False
    return not any(hasattr(each, name) for each in (keras.activations, keras.losses, keras.metrics, keras.ops))


def function_key(group: str, name: str) -> str:
    """The name under which Keras' custom objects have a function; a bare one in a config it would replace there."""
    return f"kexp.{group}={name}"


def choices_for(task: str) -> tuple[str, dict[str, str]]:
    """The loss, and the metrics by key, that `auto` stands for."""
    if task == "regression":
        return "mean_squared_error", {"mean_absolute_error": "mean_absolute_error"}
    if task == "labels":
        return "binary_crossentropy", {"binary_accuracy": "binary_accuracy", "auc": "auc"}
    return "sparse_categorical_crossentropy", {"accuracy": "accuracy"}


def loss_beside(chosen: str, metrics: Mapping[str, Traits], task: str, outputs: int) -> str:
    """The loss that `auto` stands for beside some metrics: `chosen`, unless they want its targets in another form."""
    for name in (chosen, "categorical_crossentropy", "binary_crossentropy"):
        if targets_problem(name, _rules_of_loss(name), metrics, task, outputs) is None:
            return name
    return chosen


def output_for(loss: Traits, parameters: Mapping[str, Any], *, task: str, outputs: int) -> tuple[int, str]:
    """The output layer's width and activation.

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
    """Why rows of `shape` are not the inputs that a model needs, or None.

    Args:
        needs: the model's `Traits.inputs`.
        shape: one row's shape.
        image_shape: (height, width, channels) that flat rows fold to, if they do.
    """
    if needs == "images" and image_shape is None and len(shape) not in (2, 3):
        return f"needs images (height, width, channels), but the data's rows have shape {shape}"
    if needs == "sequences" and image_shape is None and len(shape) not in (2, 3):
        return (
            f"needs sequences (steps, features), or images to read row by row, but the data's rows have shape {shape}"
        )
    return None


def targets_problem(
    loss_name: str,
    loss: Traits,
    metrics: Mapping[str, Traits],
    task: str,
    outputs: int,
    positions: tuple[int, ...] = (),
) -> str | None:
    """Why data, loss and metrics do not go together, as a sentence that says what to choose; None where they do.

    Args:
        loss_name: the loss's name.
        loss: its traits.
        metrics: name -> traits of each metric.
        task: classification, regression or labels.
        outputs: number of classes, of columns of a regression's targets, or of labels.
        positions: where in a row targets stand; () for one a row.
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
# What each kind of metric can read, of the forms that the loss trains on.
_ACCEPTED = {
    "any": {"class_index", "one_hot", "column", "multi_hot", "signed", "numbers"},
    "class_index": {"class_index"},
    "one_hot": {"one_hot"},
    "binary": {"one_hot", "column", "multi_hot"},
    "signed": {"one_hot", "column", "multi_hot", "signed"},
    "dense": {"one_hot", "column", "multi_hot", "signed", "numbers"},
}
# Metrics that Keras computes of rows of numbers alone.
_FLAT = frozenset({"f1_score", "f_beta_score", "r2_score"})
# Metrics that say the same of class indices, one-hot rows and one column of 0/1.
_SAME_METRIC = (
    ("sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy"),
    ("sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy", "binary_accuracy"),
    ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"),
    ("mean_io_u", "one_hot_mean_io_u", "binary_io_u"),
    ("io_u", "one_hot_io_u", "binary_io_u"),
)


def _form(loss: Traits, task: str, outputs: int) -> str:
    """What the targets look like once they are as the loss wants them."""
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


def _declared(component: Component) -> Traits | None:
    if component.exported and component.distribution == OURSELVES:
        return None
    declared = getattr(component.load(), _ATTRIBUTE, None)
    return declared if isinstance(declared, Traits) else None


def _by_name(component: Component) -> Traits:
    name = component.name if component.distribution == OURSELVES else _keras_name(component)
    if component.group == "loss":
        return _rules_of_loss(name) if name is not None else Traits(targets="dense")
    if component.group == "metrics" and name is not None:
        return _rules_of_metric(name)
    return Traits()


def _keras_name(component: Component) -> str | None:
    """Keras' name of a loss or a metric that is one of its classes or functions, or an object of such a class."""
    if component.group not in ("loss", "metrics"):
        return None
    made = component.load()
    kind = made if hasattr(made, "__name__") else type(made)
    if getattr(kind, "__module__", "").startswith(("keras.", "keras.src.")) and kind.__name__ not in _WRAPPERS:
        return to_snake_case(kind.__name__)
    return None


_WRAPPERS = ("LossFunctionWrapper", "MeanMetricWrapper", "Mean", "Sum")  # of functions that may be anybody's
# Losses that the rules would get wrong.
_LOSSES = {
    # A "categorical" loss that nevertheless gathers the probability of a class index.
    "categorical_generalized_cross_entropy": Traits("class_index", task="classification"),
    # Compares embeddings of bounded length; without a bound it does not train. No class comes out.
    "circle": Traits("class_index", task="classification"),
    # Aligns a sequence of outputs with a row of labels.
    "ctc": Traits("labels"),
    # A margin of 1 between scores, which probabilities only reach where they are saturated.
    "categorical_hinge": Traits("one_hot", output="linear", task="classification"),
    # Overlaps of regions: shares in [0, 1].
    "dice": Traits("one_hot", task="classification"),
    "tversky": Traits("one_hot", task="classification"),
    # Both take the prediction's logarithm, which a linear output may put below zero, and mean counts or magnitudes.
    "poisson": Traits("dense", "non_negative", regression_output="softplus"),
    "mean_squared_logarithmic_error": Traits("dense", "non_negative", regression_output="softplus"),
}


def _rules_of_loss(name: str) -> Traits:
    """A Keras loss's traits by its name.

    sparse_*: class indices. *categorical*, kullback* and kl_*: one-hot rows, or shares of classes. binary_*: 0/1
    against sigmoid. *hinge: 0/1, of which Keras makes -1/1, against linear scores, for tanh saturates on the wrong side
    and stays there (measured on digits: accuracy 0.54 against 0.98); one-hot even for two classes, because Keras'
    accuracy of a single column cuts at 0.5, and a score's cut is 0. All others compare numbers: classes as one-hot rows
    against softmax, where squared, absolute, logarithmic and Poisson errors are all least if the right class has all.
    """
    if name in _LOSSES:
        return _LOSSES[name]
    if name.startswith("sparse_"):
        return Traits("class_index", task="classification")
    if "categorical" in name or name.startswith(("kullback", "kl_")):
        return Traits("one_hot", "shares", regression_output="softmax", task="classification")
    if name.startswith("binary_"):
        return Traits("binary", "binary", output="sigmoid", regression_output="sigmoid")
    if name.endswith("hinge"):
        return Traits("one_hot", "signed", output="linear")
    return Traits("dense")


# Metrics that the rules would get wrong.
_METRICS = {
    "accuracy": Traits("any", task="classification"),
    "io_u": Traits("class_index", task="classification"),
    "mean_io_u": Traits("class_index", task="classification"),
    "hinge": Traits("signed"),
    "squared_hinge": Traits("signed"),
}
# They count right and wrong at a threshold, so 0/1 it must be, in any number of columns.
_COUNTING = frozenset(
    {
        "auc",
        "f1_score",
        "f_beta_score",
        "false_negatives",
        "false_positives",
        "precision",
        "precision_at_recall",
        "recall",
        "recall_at_precision",
        "sensitivity_at_specificity",
        "specificity_at_sensitivity",
        "true_negatives",
        "true_positives",
    }
)


def _rules_of_metric(name: str) -> Traits:
    """A Keras metric's traits by its name: as losses', and what counts hits at a threshold wants 0/1."""
    if name in _METRICS:
        return _METRICS[name]
    if name in _COUNTING:
        return Traits("binary")
    if name.startswith("one_hot_"):
        return Traits("one_hot", task="classification")
    return _rules_of_loss(name)
