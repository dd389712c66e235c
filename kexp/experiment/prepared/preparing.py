"""Loads and splits the data, chooses what the config leaves to it, and checks that all of it goes together."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kexp import training, traits
from kexp.build import build_data
from kexp.errors import ConfigError, DataError, UnknownNameError
from kexp.experiment.earlier import Earlier, adjust_to, earlier_run, reuse_encoding
from kexp.experiment.earlier import describe as describe_earlier
from kexp.experiment.own_files import own_modules
from kexp.experiment.prepared.own_compile import compile_notice, compiled_by_model
from kexp.experiment.prepared.prepared_experiment import Prepared, model_spec
from kexp.experiment.prepared.targets import find_targets, targets_notice
from kexp.fingerprint import fingerprint
from kexp.registry import OURSELVES
from kexp.registry.instances import needs_reload
from kexp.schema import Experiment, Node, Taken
from kexp.system.process_settings import BACKEND, PRECISION, as_set_by, set_by

if TYPE_CHECKING:
    from kexp.data import Data, DataSpec, Splits

__all__ = [
    "load_data",
    "prepare",
    "split_data",
]

_DEFAULT_SPLIT = 0.2  # default fraction of the rows for validation and for test


def load_data(node: Node) -> Data:
    """Loads the data of a config node, without splitting it.

    Raises:
        ConfigError: the data cannot be read, or the component did not return data.
    """
    return build_data(node)


def split_data(experiment: Experiment, data: Data) -> Splits:
    """Splits data into training, validation and test rows, as the config chooses.

    Raises:
        DataError: the data cannot be split in this way.
    """
    from kexp.data import split

    common = experiment.data.common
    return split(
        reuse_encoding(_for_loss(data, experiment.loss), earlier_run(experiment)),
        test=common["test_split"],
        validation=experiment.trainer.validation_split,
        seed=common["split_seed"],
        by=common["split"],
        folds=common["folds"],
        fold=common["fold"],
    )


def _for_loss(data: Data, loss: Node | None) -> Data:
    """Returns the data, with whole numbers as classes if the loss is one for classes."""
    from kexp.data.inference import with_classes

    if loss is None or data.spec.task == "classification":
        return data
    wanted = traits.of_node(loss)
    only_classes = wanted.task == "classification" or loss.common.get("targets") in ("class_index", "one_hot")
    takes = only_classes if data.spec.task == "regression" else wanted.targets == "class_index"
    return with_classes(data) if takes else data


def prepare(experiment: Experiment, data: Data | None = None) -> Prepared:
    """Loads and splits the data, chooses what the config leaves to it, and checks that everything fits together.

    Args:
        experiment: the checked config.
        data: the data of its data node, if a sweep has loaded it already.

    Raises:
        ConfigError: they do not fit, or the data cannot be read.
    """
    with as_set_by(own_modules(experiment)):
        return _prepare(experiment, load_data(experiment.data) if data is None else data)


def _prepare(experiment: Experiment, data: Data) -> Prepared:
    """Prepares an experiment on loaded data: chooses loss, metrics and form of targets, and checks the result.

    Raises:
        ConfigError: parts of the config do not go together, or do not fit the data.
    """
    splits = split_data(experiment, data)
    spec = splits.spec
    earlier = earlier_run(experiment)
    if earlier is not None:
        experiment = adjust_to(experiment, earlier, spec)
    _check_text(experiment, spec)
    _check_used(experiment, data)
    configured = experiment
    taken = compiled_by_model(experiment, lambda: model_spec(configured, spec))
    experiment = experiment.compiled_with(taken)
    tried = find_targets(experiment, splits)
    loss, metrics = traits.choices_for(spec.task)
    targets = {path: forms[0] for path, forms in tried.items() if path == "loss" or len(forms) == 1}
    if experiment.loss is None:
        beside = {
            key: traits.of(each.component, each.parameters, tried.get(each.path, (each.common.get("targets"),))[0])
            for key, each in experiment.metrics.items()
        }
        loss = traits.loss_beside(loss, beside, spec.task, spec.outputs)
    experiment = experiment.choosing(loss, metrics, targets)
    splits = _fit_targets(experiment, splits)
    notices = _notices(configured, experiment, splits, taken, tried, targets, earlier)
    digest = fingerprint(experiment, data.digest)
    prepared = Prepared(experiment, splits, digest, targets, notices, taken, earlier)
    _check_monitors(prepared)
    return prepared


def _fit_targets(experiment: Experiment, splits: Splits) -> Splits:
    """Returns the splits with targets in the form that the loss takes.

    Raises:
        ConfigError: the loss or a metric does not suit the task of the data.
        DataError: the targets have values that the loss or a metric does not take.
    """
    spec = splits.spec
    assert experiment.loss is not None
    wanted = traits.of_node(experiment.loss)
    measured = {key: traits.of_node(each) for key, each in experiment.metrics.items()}
    problem = traits.targets_problem(experiment.loss.name, wanted, measured, spec.task, spec.outputs, spec.positions)
    if problem:
        only_classes = "classification" in {wanted.task, *(each.task for each in measured.values())}
        raise ConfigError(problem + (_advice_on_classes(experiment.data, splits) if only_classes else ""))
    try:
        splits = splits.encode(wanted.targets_for(spec.task))
    except DataError as error:
        raise DataError(f"loss: {experiment.loss.name} {error}") from None
    for key, each in measured.items():
        if spec.task == "regression" and each.regression_targets == "non_negative":
            try:
                splits.encode("non_negative")
            except DataError as error:
                raise DataError(f"metrics: {experiment.metrics[key].name} {error}") from None
    return splits


def _notices(
    configured: Experiment,
    experiment: Experiment,
    splits: Splits,
    taken: Taken,
    tried: Mapping[str, tuple[str, ...]],
    targets: Mapping[str, str],
    earlier: Earlier | None,
) -> tuple[tuple[str, str], ...]:
    """Returns (label, text) of each decision that was made for the user.

    Args:
        configured: the experiment as the config describes it.
        experiment: the experiment with everything chosen.
        splits: the parts of the data.
        taken: what the model's own code passed to `compile`.
        tried: config key -> the forms of targets that a component takes.
        targets: config key -> the form of targets that was chosen.
        earlier: the run that the model starts from.
    """
    assert experiment.loss is not None
    notices = []
    if splits.summary:
        notices.append(("table", splits.summary))
    if earlier is not None:
        notices.append(("model", describe_earlier(experiment, earlier)))
    if compiled := compile_notice(configured, taken):
        notices.append(("model", compiled))
    for node in (experiment.loss, *experiment.metrics.values()):
        if node.path in targets:
            label = "loss" if node is experiment.loss else "metrics"
            notices.append((label, targets_notice(node, tried[node.path], targets[node.path])))
    return (*notices, *_reload_notices(experiment), *_override_notices(experiment))


def _advice_on_classes(data: Node, splits: Splits) -> str:
    """Returns advice for an error message if the target has whole numbers that may be classes; else an empty text."""
    y = splits.data.targets
    whole = splits.spec.task == "regression" and splits.spec.outputs == 1 and bool((y == y.round()).all())
    if not whole or data.parameters.get("task") != "auto":
        return ""
    return ", or data.task=classification if the whole numbers of the target are classes"


def _reload_notices(experiment: Experiment) -> list[tuple[str, str]]:
    """Returns a notice for each object of the user's that Keras cannot copy by its config."""
    own = [node for node in experiment.nodes() if node.component.distribution != OURSELVES]
    copied = [node for node in own if node.component.reading().kind == "copied"]
    return [
        (node.component.group, f"{node.name} cannot be copied by its config; each run runs its module once more")
        for node in copied
        if needs_reload(node.component.load())
    ]


def _override_notices(experiment: Experiment) -> list[tuple[str, str]]:
    """Returns notices if a user's module set a backend, a dtype policy or a floatx that the config overrides."""
    by_modules, notices = set_by(own_modules(experiment)), []
    if by_modules.get(BACKEND, experiment.backend) != experiment.backend:
        detail = (
            f"whatever {BACKEND} a module sets, here {by_modules[BACKEND]}; backend={by_modules[BACKEND]} is for it"
        )
        notices.append(("backend", f"{experiment.backend}, {detail}"))
    used = "mixed_float16" if experiment.trainer.mixed_precision else "float32"
    own = next(((name.split()[-1], value) for name, value in by_modules.items() if name in PRECISION), ("", used))
    setting, found = training.user_precision() or own
    if found != used:
        advice = "; trainer.mixed_precision=true is for it" if found == "mixed_float16" else ""
        detail = f"whatever {setting.replace('_', ' ')} a module sets, here {found}{advice}"
        notices.append(("trainer", f"layers compute in {used}, {detail}"))
    return notices


def _check_text(experiment: Experiment, spec: DataSpec) -> None:
    """Refuses `model=text` on numbers, and kexp's other models on texts, whose numbers are indices of words."""
    model, data = experiment.model, experiment.data.name
    if model.component.distribution != OURSELVES or model.name in ("sequential", "saved"):
        return
    if spec.words is not None and model.name != "text":
        raise ConfigError(f"model: {model.name} takes numbers, but data={data} gives words; choose model=text")
    if spec.words is None and model.name == "text":
        choose = "choose data=text, imdb or reuters"
        raise ConfigError(f"model: text takes words, but data={data} gives numbers; {choose}")


def _check_used(experiment: Experiment, data: Data) -> None:
    """Refuses settings that would have no effect: an unused activation, or the fraction of a part that the data has."""
    model, activation = experiment.model, experiment.activation
    is_built_in = model.component.distribution == OURSELVES
    has_hidden = model.name not in traits.WITHOUT_ACTIVATION if is_built_in else _takes_spec(model.component.load())
    if activation.name != "relu" and not has_hidden:
        raise ConfigError(f"activation: must be left out with model={model.name}, which does not take it")
    shares = {
        "test": ("data.test_split", experiment.data.common["test_split"]),
        "validation": ("trainer.validation_split", experiment.trainer.validation_split),
    }
    for part, (key, share) in shares.items():
        if part in (data.splits or {}) and share != _DEFAULT_SPLIT:
            raise ConfigError(f"{key}: must be left out where the data has {part} rows of its own, got {share!r}")


def _takes_spec(factory: Any) -> bool:
    """Returns whether a model's factory takes the spec, which includes the activation."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return not callable(factory)
    return any(each.name == "spec" or each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


def _check_monitors(prepared: Prepared) -> None:
    """Refuses a callback that monitors an unknown metric, unless a callback other than Keras' may measure it."""
    callbacks = prepared.experiment.callbacks
    if prepared.has_open_metric_names or not all(node.component.exported for node in callbacks.values()):
        return
    measured = [name for name in prepared.metric_names if not name.startswith("test_")]
    for node in callbacks.values():
        monitor = node.parameters.get("monitor")
        if isinstance(monitor, str) and monitor not in (*measured, "learning_rate"):
            raise UnknownNameError(f"{node.path}.monitor", "metric", monitor, measured)
