"""`hydra/launcher=auto`: runs each structure of a sweep as lanes or in worker processes, whichever takes less time."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexp.config import key_of, overrides_of
from kexp.errors import ConfigError
from kexp.sweeps.events import Events
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.fusing import FusedLauncher, as_written, is_lane, planned_tasks
from kexp.sweeps.launch.lanes.estimates import (
    START_S,
    Estimate,
    Share,
    add_share,
    component_names,
    has_foreign_code,
    max_compile_s,
    min_workers_s,
)
from kexp.sweeps.launch.launchers import HydraLauncher, ProcessesLauncher
from kexp.sweeps.launch.probing import structure_key
from kexp.sweeps.launch.worker_process import default_workers
from kexp.sweeps.trials import Task, Trial
from kexp.system.wording import counted

__all__ = ["AutoLauncher", "decide"]

_CHOICES = "launcher.json"  # in the sweep's folder, so that a resumed sweep makes the same choices
_FUSED, _WORKERS = "fused", "processes"
_OWN = ("mlp", "lstm", "linear", "sequential")
_SEARCH = "search"  # the key of a search, whose structures are not known beforehand


@dataclass(frozen=True)
class _Choice:
    """Where the trials of a structure run, and the reason for the closing lines."""

    how: str
    why: str


class AutoLauncher(HydraLauncher):
    """Runs each structure of a sweep as lanes or in worker processes, whichever is estimated to take less time.

    A trial that cannot be a lane, or whose backend the user chose and is not JAX, runs in a worker process. With
    `fused.strict`, every trial must be a lane. For a search, the first trial decides.

    Args:
        n_workers: number of worker processes; one per core by default.
        memory_limit_mb: a worker that uses more memory when a trial ends is replaced.
    """

    parks_lanes = True

    def __init__(self, n_workers: int | None = None, memory_limit_mb: float = 4096) -> None:
        self.n_workers, self.memory_limit_mb = n_workers, memory_limit_mb
        self._fused = FusedLauncher(n_workers, memory_limit_mb)
        self._choices: dict[str, _Choice] = {}
        self._every: _Choice | None = None
        self._counts: Counter[_Choice] = Counter()

    def setup(self, **given: Any) -> None:
        super().setup(**given)
        if not any(key_of(each) == "backend" for each in overrides_of(self.config)):
            self._fused.start()  # it imports JAX while the sweep is planned

    def prepare(self, trials: Sequence[Trial]) -> None:
        """Lets the engine compile ahead, if the configs or a measurement show that there will be lanes."""
        shares: dict[str, Share] = {}
        for task in filter(is_lane, planned_tasks(trials, Path())):
            add_share(shares, structure_key(task.config), task)
        if shares:
            is_clear = _surely_lanes(shares, self._workers) == set(shares)
            self._fused.prepare(trials, None if is_clear else self._fused.estimate_request(shares, os.devnull))

    def close(self) -> None:
        """Ends the engine's process, if no trial is a lane."""
        self._fused.close()

    def adapt(self, config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
        """Returns a trial's config for the engine, or the config itself if the user chose another backend."""
        try:
            return self._fused.adapt(config, overrides)
        except ConfigError:
            return config

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        if not tasks:
            return
        waiting = tasks.waiting
        count = len(tasks)
        trials = [task for task in waiting if not task.saves]
        self._choose(trials, waiting[0].sweep_folder, search=count if tasks.grows else 0)
        first = [self._as_chosen(tasks.popleft()) for _ in waiting]
        if tasks.grows:
            chosen = Feed(first, lambda: self._as_chosen(tasks.popleft()) if tasks else None, count - len(first))
        else:
            chosen = Feed(first, last=lambda: [tasks.popleft() for _ in tasks.waiting] if tasks else [])
        launcher: FusedLauncher | ProcessesLauncher = self._fused
        if not any(is_lane(task) for task in first):
            self._fused.close()
            launcher = ProcessesLauncher(self.n_workers, self.memory_limit_mb)
        launcher.run_tasks(chosen, events)

    def explain(self, trials: Sequence[Trial], folder: Path) -> tuple[list[str], float]:
        """Returns lines on how trials would run, and the seconds of those that may be lanes; see `FusedLauncher`."""
        tasks = {task.number: task for task in planned_tasks(trials, folder)}
        self._choose(list(tasks.values()), folder)
        lanes = [trial for trial in trials if trial.number in tasks and is_lane(self._as_chosen(tasks[trial.number]))]
        seconds = self._fused.seconds(list(tasks.values()), folder, lambda task: self._choice(task).how == _FUSED)
        self._fused.group(lanes, folder)
        return [*self.closing(), *self._fused.unsure(lanes)], seconds

    def closing(self) -> list[str]:
        """Returns lines on what was chosen and why, and those of the fused launcher."""
        places = {_FUSED: "as lanes", _WORKERS: "in worker processes"}
        lines = [
            f"auto     {counted(count, 'trial')} {places[each.how]}: {each.why}" for each, count in self._counts.items()
        ]
        if len({each.how for each in self._counts}) > 1:
            lines.append("         dropout, noise and random augmentation draw other numbers on JAX than on TensorFlow")
        return lines + self._fused.closing()

    def _choose(self, tasks: Sequence[Task], folder: Path, search: int = 0) -> None:
        """Decides where each structure runs: as before if the sweep is resumed, else by the estimated time."""
        if not tasks:
            return
        before = _read_choices(folder)
        shares: dict[str, Share] = {}
        for task in tasks:
            key = _SEARCH if search else structure_key(task.config)
            if key in before:
                self._choices[key] = _Choice(before[key], "as it was begun")
            elif not is_lane(task):
                self._choices[key] = _Choice(_WORKERS, f"backend={task.config['backend']} was named")
            elif task.ordinary is None:
                self._choices[key] = _Choice(_FUSED, "trainer.engine is compiled")
            elif task.config["fused"]["strict"]:
                self._choices[key] = _Choice(_FUSED, "fused.strict")
            else:
                add_share(shares, key, task, search or 1)
        sure = _surely_lanes(shares, self._workers)
        self._choices |= dict.fromkeys(sure, _Choice(_FUSED, "with such layers lanes take less time"))
        shares = {key: share for key, share in shares.items() if key not in sure}
        if shares:
            request = self._fused.estimate_request(shares, str(folder / "fused.log"))
            sunk = any(each.how == _WORKERS for each in self._choices.values())
            keys = list(shares)
            for estimate, choice in decide(self._fused.estimate(request), sunk):
                self._choices |= {keys[position]: choice for position in estimate.shares}
            for key in set(shares).difference(self._choices):
                self._choices[key] = _without_estimate(shares[key].task)
        self._every = self._choices[_SEARCH] if search else None
        _write_choices(folder, before | {key: each.how for key, each in self._choices.items()})

    def _choice(self, task: Task) -> _Choice:
        return self._every or self._choices[structure_key(task.config)]

    @property
    def _workers(self) -> int:
        return self.n_workers or default_workers()

    def _as_chosen(self, task: Task) -> Task:
        """Returns a task; with the config as the user wrote it if it runs in a worker process."""
        if task.saves:
            return task
        choice = self._choice(task)
        self._counts[choice] += 1
        if choice.how == _FUSED or not is_lane(task):
            return task
        return as_written(task)


def decide(estimates: Sequence[Estimate], sunk: bool) -> Iterator[tuple[Estimate, _Choice]]:
    """Decide where each structure runs: where it takes less time, if the gain is worth starting worker processes.

    Args:
        estimates: the structures with their estimated times.
        sunk: whether worker processes are needed anyway.
    """
    slower = [each for each in estimates if each.fused_s > each.workers_s]
    gain = sum(each.fused_s - each.workers_s for each in slower)  # infinite if one cannot be a lane
    pays = sunk or gain > START_S
    ways: dict[str, list[Estimate]] = {_FUSED: [], _WORKERS: []}
    for each in estimates:
        ways[_WORKERS if each in slower and pays else _FUSED].append(each)
    for how, structures in ways.items():
        why = _why(how, [each for each in structures if not each.reason])
        for each in structures:
            yield each, _Choice(how, each.reason or why)


def _without_estimate(task: Task) -> _Choice:
    """Return the choice for a structure that could not be estimated; the engine reports what is wrong with it."""
    if has_foreign_code(task.config):
        return _Choice(_WORKERS, "what they take could not be found out: the process that tried has died")
    return _Choice(_FUSED, "what they take is not known")


def _why(how: str, estimates: Sequence[Estimate]) -> str:
    by = "by a few steps that were timed" if any(each.probed for each in estimates) else "by estimate"
    fused_s, workers_s = sum(each.fused_s for each in estimates), START_S + sum(each.workers_s for each in estimates)
    if how == _FUSED:
        return f"{by} {fused_s:.0f} s, against {workers_s:.0f} s in worker processes"
    return f"{by} {workers_s:.0f} s, against {fused_s:.0f} s as lanes"


def _surely_lanes(shares: Mapping[str, Share], workers: int) -> set[str]:
    """Return the structures that need no estimate: lanes are faster, and start before worker processes would."""
    sure = {key: share for key, share in shares.items() if _is_surely_lane(share.task.config)}
    if sure and max_compile_s(sure.values()) < min_workers_s(sure.values(), workers):
        return set(sure)
    return set()


def _is_surely_lane(config: Mapping[str, Any]) -> bool:
    """Return whether the config alone shows that lanes are faster: no convolutions, callbacks or foreign code."""
    model = config["model"]
    if any(config["callbacks"].values()) or has_foreign_code(config):
        return False
    return model["name"] in _OWN and not any("conv" in name.lower() for name in component_names(model))


def _read_choices(folder: Path) -> dict[str, str]:
    """Return the choices of an earlier run of the sweep: structure -> where it runs."""
    try:
        found = json.loads((folder / _CHOICES).read_text())
    except (OSError, ValueError):
        return {}
    return {key: how for key, how in found.items() if how in (_FUSED, _WORKERS)}


def _write_choices(folder: Path, choices: Mapping[str, str]) -> None:
    from kexp.persistence.atomic import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _CHOICES, json.dumps(choices, indent=1).encode())
