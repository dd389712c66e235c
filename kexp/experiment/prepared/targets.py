"""Finds the form of targets that a user's loss or metric takes, by a trial call on a few rows.

The signature of a function does not show whether it takes class numbers or one-hot rows. It is therefore called with
each form, and with outputs of the model's shape. It takes a form if it returns finite numbers: one per row or one in
all. If it takes several forms, a loss gets the first of `_FORMS`, and a metric the form that the loss trains on.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from kexp import traits
from kexp.build import build_loss, build_metrics
from kexp.errors import BuildError, ComponentError, ConfigError, DataError
from kexp.registry.own_state import untouched
from kexp.schema import Experiment, Node
from kexp.system.user_errors import describe_error

if TYPE_CHECKING:
    from kexp.data import Splits

__all__ = ["find_targets", "targets_notice"]

_FORMS = {
    "one_hot": "one-hot targets",
    "class_index": "class numbers",
    "binary": "one column of 0 and 1",
    "signed": "one column of -1 and 1",
}
_ROWS = 7
_MISTAKES = (AttributeError, NameError, ImportError)
# Ranks of a trial call: one number per row or one in all; another shape; numbers that are not finite; an exception.
_VALID, _OTHER_SHAPE, _NOT_FINITE, _FAILED = 3, 2, 1, 0
_found: dict[tuple[Any, ...], dict[str, int | Exception]] = {}


def find_targets(experiment: Experiment, splits: Splits) -> dict[str, tuple[str, ...]]:
    """Returns config key -> forms, the best first, for losses and metrics that do not declare their form.

    A form that the config names is tried too, so that an error in it is raised before training.

    Raises:
        ConfigError: a function raises an exception with every form; the message names its file and line.
    """
    nodes = [node for node in (experiment.loss, *experiment.metrics.values()) if node is not None]
    nodes = [node for node in nodes if not traits.says_targets(node.component)]
    if splits.spec.task != "classification":
        for node in nodes:  # the model's outputs may differ from those of this call, so only certain mistakes count
            if isinstance(error := _try(node, splits, "dense"), _MISTAKES):
                raise ConfigError(f"{node.path}: {node.name} does not work: {describe_error(error)}")
        return {}
    return {node.path: _taken(node, splits, experiment.backend) for node in nodes}


def targets_notice(node: Node, forms: tuple[str, ...], chosen: str) -> str:
    """Returns the notice on a form that was found: `own:by_index takes class numbers`."""
    others = [form for form in forms if form != chosen]
    more = f" ({node.path}.targets={others[0]} gives it {_FORMS[others[0]]})" if others else ""
    return f"{node.name} takes {_FORMS[chosen]}{more}"


def _taken(node: Node, splits: Splits, backend: str) -> tuple[str, ...]:
    """Returns the forms of targets that a loss or metric takes: of those without an error, the best. Cached.

    Raises:
        ConfigError: it fails with every form.
    """
    component, outputs = node.component, splits.spec.outputs
    settings, shape = repr((node.parameters, node.common)), (*splits.spec.positions, outputs)
    key = (component.group, component.target, component.version, settings, shape, backend)
    named = node.common.get("targets")
    forms = (
        (named,)
        if named
        else tuple(form for form in _FORMS if form in ("one_hot", "class_index") or (form == "binary" and outputs == 2))
    )
    if key not in _found:
        _found[key] = {form: _try(node, splits, form) for form in forms}
    results = _found[key]
    ranks = {form: result for form, result in results.items() if isinstance(result, int)}
    best = max(ranks.values(), default=_FAILED)
    if best == _FAILED:
        errors = {form: error for form, error in results.items() if isinstance(error, Exception)}
        # An error that does not depend on the form of targets is the more useful one.
        errors = {form: error for form, error in errors.items() if isinstance(error, _MISTAKES)} or errors
        texts = {form: describe_error(error) for form, error in errors.items()}
        if len({*texts.values()}) > 1:
            texts = {form: f"with {_FORMS[form]} {text}" for form, text in texts.items()}
        raise ConfigError(f"{node.path}: {node.name} does not work: {'; '.join(dict.fromkeys(texts.values()))}")
    return tuple(form for form, rank in ranks.items() if rank == best)


def _try(node: Node, splits: Splits, form: str) -> int | Exception:
    """Returns the rank of a trial call with a form of targets, or its exception."""
    import numpy as np

    part = splits.train.encode(form)  # type: ignore[arg-type]
    count = min(_ROWS if splits.spec.outputs != _ROWS else _ROWS - 2, len(part))
    targets = part.batch(np.linspace(0, len(part) - 1, count).astype(np.intp))[1]
    wanted = traits.of(node.component, node.parameters, form)
    spec = splits.spec
    units, activation = traits.output_for(wanted, node.parameters, task=spec.task, outputs=spec.outputs)
    try:
        own = node.component.target.partition(":")[0]
        with warnings.catch_warnings(), np.errstate(all="ignore"), untouched([own]):
            warnings.simplefilter("ignore")
            result = _call(node, targets, _outputs((count, *spec.positions, units), activation))
    except (BuildError, ComponentError, DataError):
        raise
    except Exception as error:  # raised by the function: it does not take these targets
        return error
    if not np.isfinite(result).all():
        return _NOT_FINITE
    return (
        _VALID
        if result.ndim == 0 or node.component.group == "metrics" or result.shape[:1] == (count,)
        else _OTHER_SHAPE
    )


def _outputs(shape: tuple[int, ...], activation: str) -> Any:
    """Returns random outputs of a model with this activation."""
    import numpy as np

    scores = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    if activation == "softmax":
        scores = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    return 1 / (1 + np.exp(-scores)) if activation == "sigmoid" else scores


def _call(node: Node, targets: Any, outputs: Any) -> Any:
    """Returns the values of a loss or the result of a metric, called as Keras calls them."""
    import keras
    import numpy as np

    if node.component.group == "loss":
        loss = build_loss(node)
        plain = keras.losses.Loss
        function = loss.call if isinstance(loss, plain) and type(loss).__call__ is plain.__call__ else loss
        made = function(keras.ops.convert_to_tensor(targets, "float32"), keras.ops.convert_to_tensor(outputs))
    else:
        (metric,) = build_metrics({"tried": node})
        metric.update_state(keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(outputs))
        made = metric.result()  # a dict for some metrics
    values = [np.asarray(keras.ops.convert_to_numpy(each)) for each in keras.tree.flatten(made)]
    if not values or any(each.dtype.kind not in "biuf" for each in values):
        raise TypeError(f"{node.name} gives {type(made).__name__} where numbers are wanted")
    return values[0] if len(values) == 1 else np.concatenate([np.ravel(each) for each in values])
