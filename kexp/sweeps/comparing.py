"""Which choice is better, and whether the difference is real."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kexp.errors import ConfigError, UnknownNameError
from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.filters import parse_filter
from kexp.sweeps.compare.folds import Fold, over_repeats, overlap
from kexp.sweeps.compare.grouping import ABSENT, SEED, Group, group_trials
from kexp.sweeps.compare.judge import Judgement, judge, pick_reference
from kexp.sweeps.compare.results import Histories, TrialResult, histories_of, parameter_value, read_sweep
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
    """Compares the trials of sweeps that are in the store.

    Args:
        sweeps: run ids, unique prefixes, names, or `latest`, which is what none means.
        params: the parameters to show; None shows those that differ.
        metrics: further metrics to show.
        where: only these trials, for example `optimizer.name=adam and optimizer.learning_rate<0.01`.
        objective: the metric to rank by; None is the sweep's own, or else `val_loss`.
        direction: minimize or maximize; None goes by the metric.
        uri: the tracking URI; None as everywhere.
        experiment: the MLflow experiment; None as everywhere: `MLFLOW_EXPERIMENT_NAME`, or else `kexp`.
        confidence: of intervals and tests.

    Raises:
        ConfigError: a sweep, metric or parameter that is not there, an expression that cannot be read, no trials.
        StoreError: the store cannot be read.
    """
    from kexp.tracking import chosen_store

    settings = chosen_store(uri, experiment)
    found = [read_sweep(settings, ref) for ref in sweeps or ("latest",)]
    trials = list({trial.run_id: trial for sweep in found for trial in sweep.trials}.values())
    own = {(sweep.objective, sweep.direction) for sweep in found if sweep.objective}
    if objective is None and len(own) == 1:
        objective, own_direction = own.pop()
        direction = direction or own_direction
    return compare_trials(
        trials,
        histories=histories_of(settings),
        title=", ".join(dict.fromkeys(sweep.title for sweep in found)),
        params=params,
        metrics=metrics,
        where=where,
        objective=objective,
        direction=direction,
        confidence=confidence,
    )


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
    """Compares trials, wherever they come from; see `compare` for the arguments and errors.

    A trial's value is that of the epoch whose weights it ended with: the last, or the best one of a trial whose early
    stopping restored the best weights. Only finished trials with a finite value count.

    Args:
        trials: in any order.
        histories: reads histories; needed only where early stopping restored weights.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: must be between 0 and 1, got {confidence!r}")
    taking_part = list(trials)
    if where is not None:
        condition = parse_filter(where, taking_part)
        taking_part = [trial for trial in taking_part if condition(trial)]
    if not taking_part:
        raise ConfigError(f"where: no trial meets {where!r}" if trials else "there are no trials to compare")
    known = dict.fromkeys(name for trial in taking_part for name in trial.metrics)
    # A trial that ended before its parameters were recorded belongs to no row.
    described = [trial for trial in taking_part if trial.state == "FINISHED" or SEED in trial.params]
    groups, columns = group_trials(described or taking_part)
    chosen = choose_objective(known, objective, direction, losses_differ=_has_loss(columns))
    shown = _extra_metrics(known, chosen) if metrics is None else [_known_metric(name, known) for name in metrics]
    shown = [name for name in dict.fromkeys(shown) if name != chosen.metric]
    if params is not None:
        everything = dict.fromkeys(key for trial in taking_part for key in trial.params)
        columns = [_known_param(name, everything) for name in dict.fromkeys(params)]
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
    notes = [*_notes(chosen, known, columns, groups), *notes]
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
    """A row before it is ranked.

    Of a seed that ran more than once, the newest result counts: a repetition is no new seed.
    """
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
    shown = {
        key: group.params[key]
        if key in group.params
        else parameter_value(any_trial.params[key])
        if key in any_trial.params
        else ABSENT
        for key in columns
    }
    return Row(0, shown, values, _summary(values, confidence), others, Judgement("no result"), counted, lost)


def _summary(values: Mapping[Any, float], confidence: float) -> Summary:
    """What the seeds say, or the folds."""
    return summarise(over_repeats(values), confidence, overlap(values))


def _settled(groups: Sequence[Group], rows: Sequence[Row]) -> set[str]:
    """Attempts at a seed that a later or a better attempt stands for: nothing is missing there."""
    settled = set()
    for group, row in zip(groups, rows, strict=True):
        for seed, repeated in group.trials.items():
            newest = row.trials.get(seed) or max(repeated, key=lambda trial: trial.start_ms)
            settled |= {trial.run_id for trial in repeated if trial is not newest}
    return settled


def _rank_and_judge(rows: Sequence[Row], objective: Objective, confidence: float) -> tuple[list[Row], list[str]]:
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
            f"The first {place} of the ranking have too few seeds to test against; rank {place + 1} stands for them."
        )
    return ranked + [row for row in ordered if not row.values], notes


def _at_kept_epochs(trials: Sequence[TrialResult], histories: Histories | None) -> dict[str, Mapping[str, float]]:
    """Each trial's metrics at the epoch whose weights it ended with."""
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
    """Why a trial has no result; empty where it has one."""
    if trial.state != "FINISHED":
        return trial.reason or {"RUNNING": "still running", "PRUNED": "pruned"}.get(
            trial.state, "no reason was recorded"
        )
    if objective not in metrics:
        return f"has no {objective}"
    return "" if math.isfinite(metrics[objective]) else f"{objective} is {metrics[objective]}"


def _extra_metrics(known: Mapping[str, None], objective: Objective) -> list[str]:
    """What one wants to see beside the objective: another validation metric, and the test's."""
    bare = objective.metric.removeprefix("val_")
    other = next((name for name in sorted(known) if name.startswith("val_") and name != objective.metric), None)
    wanted = [other, f"test_{other.removeprefix('val_')}" if other else f"test_{bare}"]
    return [name for name in wanted if name is not None and name in known]


def _known_metric(name: str, known: Mapping[str, None]) -> str:
    if name not in known:
        raise UnknownNameError("metrics", "metric", name, known)
    return name


def _known_param(name: str, known: Mapping[str, None]) -> str:
    for candidate in (name, f"{name}.name"):
        if candidate in known:
            return candidate
    raise UnknownNameError("params", "parameter", name, known)


def _has_loss(columns: Sequence[str]) -> bool:
    return any(key == "loss" or key.startswith("loss.") for key in columns)


def _notes(
    objective: Objective, known: Mapping[str, None], columns: Sequence[str], groups: Sequence[Group]
) -> list[str]:
    notes = []
    metric = objective.metric
    if metric.startswith("test_"):
        notes.append(
            f"Ranked by {metric}: choosing by test data makes the winner's {metric} too good to be true on new data."
        )
    elif not metric.startswith("val_") and f"val_{metric}" in known:
        notes.append(
            f"Ranked by {metric}, which is measured on training data; val_{metric} is measured on validation data."
        )
    if metric in ("val_loss", "loss", "test_loss") and _has_loss(columns):
        notes.append(
            f"The trials have different losses, so that their {metric} have different units and should not be ranked."
        )
    if any(isinstance(seed, Fold) for group in groups for seed in group.trials):
        notes.append(
            "Folds train on rows that they share: intervals and tests are corrected for it (Nadeau and Bengio, 2003)."
        )
    if any(seed[0] == "no seed" for group in groups for seed in group.trials if isinstance(seed, tuple)):
        notes.append("Trials without a parameter `seed` cannot be paired, and are not tested.")
    return notes
