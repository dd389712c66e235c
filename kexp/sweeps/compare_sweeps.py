"""Compares the trials of sweeps: ranks the choices by the objective, and tests whether differences are significant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kexp.errors import ConfigError, UnknownNameError
from kexp.sweeps.compare.cached_results import read_results
from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.filters import parse_filter
from kexp.sweeps.compare.folds import Fold, mean_per_draw, overlap
from kexp.sweeps.compare.grouping import ABSENT, SEED, Group, full_key, group_trials
from kexp.sweeps.compare.judge import Judgement, judge, pick_reference
from kexp.sweeps.compare.results import Histories, TrialResult, histories_of, parameter_value
from kexp.sweeps.compare.statistics import Summary, summarise
from kexp.sweeps.objective import Objective, choose_objective, kept_epoch
from kexp.sweeps.report import ShownComparison

__all__ = ["Comparison", "Row", "compare", "compare_trials"]


def compare(
    *sweeps: str,
    params: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    where: str | None = None,
    objective: str | None = None,
    direction: str | None = None,
    uri: str | None = None,
    experiment: str | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compares the trials of sweeps in the store.

    Args:
        sweeps: run ids, unique prefixes of them, names, or `latest`, which is the default.
        params: the parameters to show; None shows those that differ.
        metrics: further metrics to show; None shows another validation metric and the test metric.
        where: a filter, for example `optimizer.name=adam and optimizer.learning_rate<0.01`.
        objective: the metric to rank by; None means the sweep's own objective, or else `val_loss`.
        direction: minimize or maximize; None derives it from the metric's name.
        uri: the tracking URI; None means `MLFLOW_TRACKING_URI`, or else MLflow's default.
        experiment: the MLflow experiment; None means `MLFLOW_EXPERIMENT_NAME`, or else `kexp`.
        confidence: confidence level of intervals and tests, between 0 and 1.

    Raises:
        ConfigError: a sweep, metric or parameter is unknown, the filter cannot be parsed, or there are no trials.
        StoreError: the store cannot be read.
    """
    from kexp.tracking import chosen_store

    settings = chosen_store(uri, experiment)
    found = [read_results(settings, ref) for ref in sweeps or ("latest",)]
    trials = list({trial.run_id: trial for sweep in found for trial in sweep.trials}.values())
    own = {(sweep.objective, sweep.direction) for sweep in found if sweep.objective}
    if objective is None and len(own) == 1:
        objective, own_direction = own.pop()
        direction = direction or own_direction
    folder = found[0].folder if len(found) == 1 else None
    compared = compare_trials(
        trials,
        histories=histories_of(settings, folder),
        title=", ".join(dict.fromkeys(sweep.title for sweep in found)),
        params=params,
        metrics=metrics,
        where=where,
        objective=objective,
        direction=direction,
        confidence=confidence,
    )
    return replace(compared, folder=folder)


def compare_trials(
    trials: Sequence[TrialResult],
    *,
    histories: Histories | None = None,
    title: str = "",
    params: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    where: str | None = None,
    objective: str | None = None,
    direction: str | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compares trials from any source; see `compare` for the other arguments and the errors.

    A trial's value is that of the epoch whose weights it ended with: the last epoch, or the best one if early stopping
    restored the best weights. Only finished trials with a finite value count.

    Args:
        trials: in any order.
        histories: reads histories; needed only if early stopping restored weights.
        title: the title of the comparison.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: must be between 0 and 1, got {confidence!r}")
    taking_part = list(trials)
    if where is not None:
        condition = parse_filter(where, taking_part)
        taking_part = [trial for trial in taking_part if condition(trial)]
    if not taking_part:
        raise ConfigError(f"where: no trial matches {where!r}" if trials else "there are no trials to compare")
    measured = dict.fromkeys(name for trial in taking_part for name in trial.metrics)
    # A trial that ended before its parameters were logged belongs to no row.
    described = [trial for trial in taking_part if trial.state == "FINISHED" or SEED in trial.params]
    groups, columns = group_trials(described or taking_part)
    chosen = choose_objective(measured, objective, direction, losses_differ=_has_loss(columns))
    shown = _extra_metrics(measured, chosen) if metrics is None else [_checked(name, measured) for name in metrics]
    shown = [name for name in dict.fromkeys(shown) if name != chosen.metric]
    if params is not None:
        everything = dict.fromkeys(key for trial in taking_part for key in trial.params)
        columns = [_full_key(name, everything) for name in dict.fromkeys(params)]
    kept = _at_kept_epochs(taking_part, histories)
    rows = [
        _row(group, columns=columns, objective=chosen, metrics=shown, kept=kept, confidence=confidence)
        for group in groups
    ]
    ranked, notes = _rank_and_judge(rows, chosen, confidence)
    settled = _settled(groups, rows)
    lost = [
        (trial, why)
        for trial in taking_part
        if trial.run_id not in settled and (why := _why_lost(trial, kept[trial.run_id], chosen.metric))
    ]
    notes = [*_notes(chosen, measured, columns, groups), *notes]
    return ShownComparison(title, chosen, ranked, columns, shown, taking_part, lost, notes, confidence)


def _row(
    group: Group,
    *,
    columns: Sequence[str],
    objective: Objective,
    metrics: Sequence[str],
    kept: Mapping[str, Mapping[str, float]],
    confidence: float,
) -> Row:
    """Makes a row, not yet ranked. If a seed ran more than once, only its newest result counts."""
    values: dict[Any, float] = {}
    counted: dict[Any, TrialResult] = {}
    lost = 0
    for seed, repeated in group.trials.items():
        finished = [trial for trial in repeated if not _why_lost(trial, kept[trial.run_id], objective.metric)]
        if finished:
            newest = max(finished, key=lambda trial: trial.start_ms)
            values[seed], counted[seed] = kept[newest.run_id][objective.metric], newest
        else:
            lost += 1
    others = {
        name: _summary(
            {
                seed: found
                for seed, trial in counted.items()
                if math.isfinite(found := kept[trial.run_id].get(name, math.nan))
            },
            confidence,
        )
        for name in metrics
    }
    any_trial = next(trial for repeated in group.trials.values() for trial in repeated)
    params = {key: parameter_value(value) for key, value in any_trial.params.items() if key in columns}
    shown = {key: group.params.get(key, params.get(key, ABSENT)) for key in columns}
    return Row(0, shown, values, _summary(values, confidence), others, Judgement("no result"), counted, lost)


def _summary(values: Mapping[Any, float], confidence: float) -> Summary:
    """Summarises the values of seeds or folds."""
    return summarise(mean_per_draw(values), confidence, overlap(values))


def _settled(groups: Sequence[Group], rows: Sequence[Row]) -> set[str]:
    """Returns the run ids of attempts at a seed that another attempt replaces, so they are not reported as lost."""
    settled = set()
    for group, row in zip(groups, rows, strict=True):
        for seed, repeated in group.trials.items():
            newest = row.trials.get(seed) or max(repeated, key=lambda trial: trial.start_ms)
            settled |= {trial.run_id for trial in repeated if trial is not newest}
    return settled


def _rank_and_judge(rows: Sequence[Row], objective: Objective, confidence: float) -> tuple[list[Row], list[str]]:
    """Returns the rows by rank, those without results last, with their tests; and notes on the ranking."""
    ordered = sorted(rows, key=lambda row: objective.rank_key(row.summary.mean))
    with_results = [row for row in ordered if row.values]
    if not with_results:
        return ordered, []
    place = pick_reference([row.summary.n for row in with_results])
    judged = judge([row.values for row in with_results], place, objective, confidence)
    ranked = [
        replace(row, rank=rank, judgement=judgement)
        for rank, (row, judgement) in enumerate(zip(with_results, judged, strict=True), start=1)
    ]
    notes = []
    if place:
        notes.append(
            f"The first {place} of the ranking have too few seeds to test against; rank {place + 1} is the reference."
        )
    return ranked + [row for row in ordered if not row.values], notes


def _at_kept_epochs(trials: Sequence[TrialResult], histories: Histories | None) -> dict[str, Mapping[str, float]]:
    """Returns each trial's metrics at the epoch whose weights it ended with."""
    kept: dict[str, Mapping[str, float]] = {trial.run_id: trial.metrics for trial in trials}
    settings: dict[str, dict[str, Any]] = {}
    for trial in trials:
        marked = [key for key in trial.params if key.endswith(".restore_best_weights")]
        if trial.state == "FINISHED" and any(parameter_value(trial.params[key]) is True for key in marked):
            settings[trial.run_id] = {
                key: parameter_value(value) for key, value in trial.params.items() if key.startswith("callbacks.")
            }
    if not settings or histories is None:
        return kept
    for run_id, history in histories(list(settings)).items():
        epoch = kept_epoch(settings[run_id], history)
        if epoch is not None:
            at = {name: value for name, points in history.items() for step, value in points if step == epoch}
            tested = {name: value for name, value in kept[run_id].items() if name.startswith("test_")}
            kept[run_id] = {**kept[run_id], **at, **tested}
    return kept


def _why_lost(trial: TrialResult, metrics: Mapping[str, float], objective: str) -> str:
    """Returns the reason why a trial has no result; empty if it has one."""
    if trial.state != "FINISHED":
        return trial.reason or {"RUNNING": "still running", "PRUNED": "pruned"}.get(
            trial.state, "no reason was recorded"
        )
    if objective not in metrics:
        return f"has no {objective}"
    return "" if math.isfinite(metrics[objective]) else f"{objective} is {metrics[objective]}"


def _extra_metrics(measured: Mapping[str, None], objective: Objective) -> list[str]:
    """Returns the metrics to show by default beside the objective: another validation metric, and its test metric."""
    bare = objective.metric.removeprefix("val_")
    other = next((name for name in sorted(measured) if name.startswith("val_") and name != objective.metric), None)
    wanted = [other, f"test_{other.removeprefix('val_')}" if other else f"test_{bare}"]
    return [name for name in wanted if name is not None and name in measured]


def _checked(name: str, metrics: Mapping[str, None]) -> str:
    if name not in metrics:
        raise UnknownNameError("metrics", "metric", name, metrics)
    return name


def _full_key(name: str, params: Mapping[str, None]) -> str:
    key = full_key(name, params)
    if key is None:
        raise UnknownNameError("params", "parameter", name, params)
    return key


def _has_loss(columns: Sequence[str]) -> bool:
    return any(key == "loss" or key.startswith("loss.") for key in columns)


def _notes(
    objective: Objective, measured: Mapping[str, None], columns: Sequence[str], groups: Sequence[Group]
) -> list[str]:
    """Returns caveats on the objective and on the tests, for the reader of the comparison."""
    notes = []
    metric = objective.metric
    if metric.startswith("test_"):
        notes.append(
            f"Ranked by {metric}: choosing by test data makes the winner's {metric} too good to be true on new data."
        )
    elif not metric.startswith("val_") and f"val_{metric}" in measured:
        notes.append(
            f"Ranked by {metric}, which is measured on training data; val_{metric} is measured on validation data."
        )
    if metric in ("val_loss", "loss", "test_loss") and _has_loss(columns):
        notes.append(
            f"The trials have different losses, so their {metric} have different units and should not be ranked."
        )
    if any(isinstance(seed, Fold) for group in groups for seed in group.trials):
        notes.append("Folds share training rows; intervals and tests are corrected for that (Nadeau and Bengio, 2003).")
    if any(seed[0] == "no seed" for group in groups for seed in group.trials if isinstance(seed, tuple)):
        notes.append("Trials without a parameter `seed` cannot be paired, and are not tested.")
    return notes
