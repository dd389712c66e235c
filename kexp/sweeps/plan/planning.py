"""Plans a sweep before any compute: its trials, which of them are invalid and why, and which are already done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from kexp.config import explain
from kexp.errors import ConfigError
from kexp.fingerprint import fingerprint
from kexp.schema import Experiment, Node, Taken, check
from kexp.sweeps.objective import choose_objectives
from kexp.sweeps.trials import Trial
from kexp.tracking import StoreSettings, find_finished

__all__ = ["PlanCache", "mark_done", "plan_trials"]

Adapt = Callable[[dict[str, Any], Sequence[str]], dict[str, Any]]
T = TypeVar("T")


def plan_trials(
    combinations: Sequence[Sequence[str]],
    compose: Callable[[Sequence[str]], Mapping[str, Any]],
    cache: PlanCache | None = None,
    adapt: Adapt | None = None,
) -> list[Trial]:
    """Composes, checks and fingerprints a trial for each combination of overrides.

    Imports no Keras, and loads each data set once. A trial that cannot be composed or is not valid gets the state
    INVALID and its reason.

    Args:
        combinations: the overrides of each trial.
        compose: returns a trial's plain config.
        cache: results that trials share; extended by this call. A new one unless given.
        adapt: a launcher's changes to a trial's config, given the config and the overrides.

    Returns:
        One trial for each combination, numbered from 0.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    cache = PlanCache() if cache is None else cache
    trials = [Trial(number, tuple(overrides)) for number, overrides in enumerate(combinations)]
    for trial in trials:
        try:
            _plan(trial, compose(trial.overrides), cache, adapt)
        except ConfigError as error:
            trial.state, trial.reason = "INVALID", str(error)
        except (HydraException, OmegaConfBaseException) as error:
            trial.state, trial.reason = "INVALID", str(explain(error, trial.overrides))
    return trials


def _plan(trial: Trial, composed: Mapping[str, Any], cache: PlanCache, adapt: Adapt | None) -> None:
    """Sets a trial's config and fingerprint.

    Raises:
        ConfigError: the config is not valid.
    """
    import yaml

    trial.config = dict(composed)
    unresolved, ordinary = getattr(composed, "unresolved", None), None
    if adapt is not None:
        given = (*trial.overrides, *getattr(composed, "in_files", ()))
        trial.config = adapt(trial.config, given)
        if trial.config != dict(composed):
            trial.ordinary = dict(composed)
            ordinary = check(trial.ordinary)
            trial.ordinary_fingerprint = cache.fingerprint(ordinary)
            unresolved = None if unresolved is None else adapt(dict(unresolved), given)
    if unresolved is not None:
        trial.yaml = yaml.safe_dump(unresolved, sort_keys=False)
    experiment = check(trial.config)
    cache.check_installed(ordinary or experiment)
    trial.fingerprint = cache.fingerprint(experiment)
    if experiment.sweep.objective is not None:
        choose_objectives(cache.metric_names(experiment), experiment.sweep.objective, experiment.sweep.direction)


def mark_done(trials: Iterable[Trial], store: StoreSettings) -> None:
    """Marks as DONE each waiting trial whose fingerprint equals that of a finished run in the store, of any sweep."""
    waiting = [trial for trial in trials if trial.state == "WAITING"]
    wanted = [each for trial in waiting for each in (trial.fingerprint, trial.ordinary_fingerprint) if each]
    found = find_finished(store, wanted)
    for trial in waiting:
        run = found.get(trial.fingerprint) or found.get(trial.ordinary_fingerprint)
        if run is not None and run.state != "PRUNED":  # the metrics of a pruned run are no final result
            trial.state, trial.run_id, trial.metrics = "DONE", run.run_id, run.metrics


class PlanCache:
    """Caches what trials share: loaded data sets, what is derived from them, and the check of installed packages."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def fingerprint(self, experiment: Experiment) -> str:
        """Returns the experiment's fingerprint, after checking that its data, loss and metrics fit together.

        Raises:
            ConfigError: they do not fit, or the data cannot be read.
        """
        derived = self._derived(experiment)
        experiment = experiment.compiled_with(derived.taken)
        if derived.model is not None:
            experiment = replace(experiment, model=derived.model)
        unset = experiment.loss is None or experiment.metrics_follow_data or experiment.optimizer_follows_model
        if unset or derived.targets:
            experiment = experiment.choosing(derived.loss, derived.metrics, derived.targets)
        return fingerprint(experiment, derived.digest)

    def check_installed(self, experiment: Experiment) -> None:
        """Checks that the backend and the file formats of the experiment are installed.

        Raises:
            ConfigError: one is not.
        """
        from kexp.experiment import check_installed

        self._once(lambda: check_installed(experiment), "installed", experiment.backend, experiment.save.files)

    def metric_names(self, experiment: Experiment) -> tuple[str, ...]:
        """Returns the names of the metrics that the experiment measures; empty if callbacks may add others.

        Raises:
            ConfigError: as for `fingerprint`.
        """
        return () if experiment.callbacks else self._derived(experiment).metric_names

    def _derived(self, experiment: Experiment) -> _Derived:
        """Returns what follows from an experiment's data and choices. Trials that agree in these share it."""
        from kexp.experiment import begins_with_run, may_compile

        # Everything that `prepare` reads; learning rates, widths and epochs are not among it.
        return self._once(
            lambda: self._derive(experiment),
            "derived",
            experiment.data.as_dict(),
            experiment.trainer.validation_split,
            experiment.trainer.batch_size,
            None if experiment.loss is None else experiment.loss.as_dict(),
            {name: node.as_dict() for name, node in experiment.metrics.items()},
            experiment.metrics_follow_data,
            {name: [node.name, node.parameters.get("monitor")] for name, node in experiment.callbacks.items()},
            experiment.model.as_dict() if may_compile(experiment.model) or begins_with_run(experiment) else None,
        )

    def _derive(self, experiment: Experiment) -> _Derived:
        from kexp.experiment import load_data, prepare

        node = experiment.data
        data = self._once(lambda: load_data(node), "data", node.name, node.parameters)  # the split does not matter
        prepared = prepare(experiment, data)
        chosen, earlier = prepared.experiment, prepared.earlier
        if earlier is not None and experiment.model.parameters["run"] == "latest":
            raise ConfigError(
                "model.run: must be a run's id in a sweep, because its own trials become the latest runs; "
                f"latest is {earlier.run_id[:8]} now"
            )
        assert chosen.loss is not None
        return _Derived(
            chosen.loss.name,
            {key: node.name for key, node in chosen.metrics.items()},
            {path: form for path, form in prepared.targets.items() if form},
            data.digest,
            () if prepared.has_open_metric_names else prepared.metric_names,
            prepared.taken,
            None if earlier is None else chosen.model,
        )

    def _once(self, find: Callable[[], T], *parts: Any) -> T:
        """Returns what `find` returns, or raise its ConfigError; it is called once for each distinct `parts`."""
        key = json.dumps(parts, sort_keys=True, default=str)
        if key not in self._found:
            try:
                self._found[key] = find()
            except ConfigError as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, ConfigError):
            raise found
        return cast("T", found)


@dataclass(frozen=True)
class _Derived:
    """Settings that were derived from the data.

    Attributes:
        loss: the loss, chosen for the data if the config leaves it open.
        metrics: key -> metric, chosen in the same way.
        targets: config path -> the form of target that the component takes.
        digest: the data's.
        metric_names: the names of all measured metrics.
        taken: what the model's own code passed to `compile`.
        model: the model's node if it starts from an earlier run, with that run's id; else None.
    """

    loss: str
    metrics: Mapping[str, str]
    targets: Mapping[str, str]
    digest: str
    metric_names: tuple[str, ...]
    taken: Taken
    model: Node | None
