"""`model=saved`: starts from the model and weights of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from kexp.errors import ConfigError, UnknownNameError
from kexp.experiment.earlier import NEW_LAYERS, Earlier, targets_of

if TYPE_CHECKING:
    import keras

    from kexp.model import ModelSpec
    from kexp.stored.runs import StoredRun

__all__ = ["earlier", "restore_optimizer", "saved"]

# Caches by full run id. `earlier` fills both. It is called before `saved`, which does not know the store.
_runs: dict[str, StoredRun] = {}
_earlier: dict[str, Earlier] = {}


def saved(
    spec: ModelSpec,
    run: str | int,  # the beginning of an id may be all digits
    *,
    trainable: str | list[str] = "all",
    new_output: Literal["auto", True, False] = "auto",
    trusted: bool | None = None,
) -> keras.Model:
    """The model and weights of an earlier run, to train further: on more data, or on other classes.

    A table is encoded with the run's encoding, and layers that learned from the run's data keep what they learned.

    Args:
        spec: the shapes that data and loss require.
        run: the run: its id, a unique prefix of its id, or latest.
        trainable: the layers to train: all; none for a new output only; last:2 for the last two that have weights; or
            names of layers. The others keep their weights.
        new_output: whether to replace the output layer; auto replaces it if the targets differ from the run's.
        trusted: whether to trust the run's files; by default only those of a store on this machine are trusted.
    """
    from kexp.model.check import check_rows
    from kexp.stored.models import load_uncompiled

    key = "model.run"
    found = _runs.get(str(run)) or _find(str(run), None, trusted)
    model: Any = load_uncompiled(found)
    if not hasattr(model, "layers"):
        raise ConfigError(f"{key}: {found.label} saved only its predict function, no layers; save it as keras or h5")
    if getattr(model, "inputs", None) is not None:
        check_rows(model.input_shape, spec)
    if new_output is True or (new_output == "auto" and not _output_fits(model, spec)):
        model = _replace_output(model, spec, found.label)
    _freeze(model, trainable, found.label)
    return model


def earlier(parameters: Mapping[str, Any], uri: str | None) -> Earlier:
    """Returns the run that the model's parameters name.

    Args:
        parameters: the parameters of `saved`.
        uri: the tracking URI of the experiment.

    Raises:
        ConfigError: the run does not exist, or is still running.
    """
    from kexp.stored.config import load_experiment
    from kexp.stored.description import describe

    if parameters["run"] in _earlier:
        return _earlier[parameters["run"]]
    run = _find(parameters["run"], uri, parameters["trusted"])
    if run.view.status == "RUNNING":
        raise ConfigError(f"model.run: {run.label} is still running")
    _runs[run.view.run_id] = run
    experiment = load_experiment(run)
    data = describe(run, experiment)
    _earlier[run.view.run_id] = Earlier(
        run.view.run_id,
        run.label,
        experiment.trainer.epochs if not run.view.tags.get("kexp.stopped") else _last_epoch(run),
        experiment.optimizer.name,
        experiment.trainer.mixed_precision,
        targets_of(data.task, data.classes, data.positions, data.target_names),
        data.encoding,
    )
    return _earlier[run.view.run_id]


def restore_optimizer(run_id: str, model: keras.Model) -> None:
    """Restores the final state of a run's optimizer in a compiled model, except the learning rate.

    Raises:
        ConfigError: the run saved no optimizer state.
    """
    import numpy as np

    from kexp.experiment.earlier import is_rate
    from kexp.stored.models import restore_optimizer

    run = _runs[run_id]
    rates = [(each, np.array(each.value)) for each in model.optimizer.variables if is_rate(each)]
    if not restore_optimizer(run, model):
        raise ConfigError(f"trainer.initial_epoch: must be 0 for {run.label}, which saved no optimizer state")
    for variable, rate in rates:
        variable.assign(rate)


def _find(ref: str | int, uri: str | None, trusted: bool | None) -> StoredRun:
    """Returns the run that `model.run` names.

    Raises:
        ConfigError: there is no such run; the message names the config key.
    """
    from kexp.errors import KexpError
    from kexp.stored.runs import find

    try:
        return find(str(ref), tracking_uri=uri, trusted=trusted)
    except KexpError as error:
        message = str(error)
        if not message.startswith("RUN"):
            raise
        raise ConfigError(f"model.run{message.removeprefix('RUN')}") from None


def _last_epoch(run: StoredRun) -> int:
    """Returns the number of epochs that a run which stopped early has trained."""
    from kexp.tracking.reading.runs import metric_history

    return max((point.step for point in metric_history(run.settings, run.view.run_id, "loss")), default=0)


def _output_fits(model: keras.Model, spec: ModelSpec) -> bool:
    """Returns whether the model's output has the shape and activation that data and loss require."""
    import keras

    if getattr(model, "inputs", None) is None:
        return True  # a subclassed model, whose output is checked when it is built
    if tuple(model.output_shape[1:]) != spec.output_shape:
        return False
    activation = getattr(model.layers[-1], "activation", None)
    if activation is None:
        return True
    wanted = keras.activations.get(spec.output_activation)
    return bool(activation is wanted)


def _replace_output(model: keras.Model, spec: ModelSpec, label: str) -> keras.Model:
    """Returns the model with its output layer replaced by a new one.

    Raises:
        ConfigError: the model is not a graph that ends in a layer with weights.
    """
    import keras

    from kexp.model.parts import head

    layers = list(model.layers)
    last = next((layer for layer in reversed(layers) if layer.weights), None)
    nodes = [] if last is None else last._inbound_nodes
    if getattr(model, "inputs", None) is None or last is None or not nodes or len(nodes[-1].input_tensors) != 1:
        raise ConfigError(
            f"model.new_output: must be false for {label}, whose model is not a graph that ends in a layer with weights"
        )
    before = nodes[-1].input_tensors[0]
    taken = {layer.name for layer in layers}
    new = head(spec, tuple(before.shape[1:]))
    for layer in new:
        layer.name = _free_name(f"new_{type(layer).__name__.lower()}", taken)
        taken.add(layer.name)
    if isinstance(model, keras.Sequential):
        first = keras.layers.InputLayer(shape=spec.input_shape, dtype=spec.input_dtype)
        changed: keras.Model = keras.Sequential([first, *layers[: layers.index(last)], *new])
    else:
        value = before
        for layer in new:
            value = layer(value)
        changed = keras.Model(model.inputs, value)
    object.__setattr__(changed, NEW_LAYERS, [layer.name for layer in new])
    return changed


def _free_name(name: str, taken: set[str]) -> str:
    """Returns the name, with a number at its end if the name is taken."""
    count, found = 1, name
    while found in taken:
        count, found = count + 1, f"{name}_{count}"
    return found


def _freeze(model: keras.Model, trainable: str | list[str], label: str) -> None:
    """Makes only the layers of `trainable` and a new output trainable.

    Raises:
        ConfigError: no layer is trainable.
    """
    new = set(getattr(model, NEW_LAYERS, ()))
    model.trainable = True
    able = [layer for layer in model.layers if layer.trainable_weights]
    names = [layer.name for layer in able]
    chosen = _select_layers(trainable, names)
    for layer in able:
        layer.trainable = layer.name in chosen or layer.name in new
    if not model.trainable_weights:
        raise ConfigError(
            f"model.trainable: must leave a layer to train, got {trainable!r} where the output of {label} is kept"
        )


def _select_layers(trainable: str | list[str], names: list[str]) -> list[str]:
    """Returns the names that `trainable` selects from the names of the layers with weights.

    Raises:
        ConfigError: `trainable` has another form, or names a layer that does not exist.
    """
    key = "model.trainable"
    if trainable == "all":
        return names
    if trainable == "none":
        return []
    if isinstance(trainable, str) and trainable.startswith("last:"):
        count = trainable.removeprefix("last:")
        if not count.isdigit() or int(count) < 1:
            raise ConfigError(f"{key}: must be all, none, last:N or names of layers, got {trainable!r}")
        return names[-int(count) :]
    wanted = [trainable] if isinstance(trainable, str) else [str(name) for name in trainable]
    for name in wanted:
        if name not in names:
            raise UnknownNameError(key, "layer with weights", name, [*names, "all", "none", "last:1"])
    return wanted
