"""`kexp plan -m ...`: shows what a sweep would run, with estimates of time, memory and disk, without running it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.commands.support.options import Parser
from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.sweeps.launch.probing import Probe
    from kexp.sweeps.trials import Trial

__all__ = ["main"]

_STATES = {"to_run": "to run", "done": "done", "invalid": "invalid"}


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit code, 2 if no trial is valid."""
    parser = Parser(
        prog="kexp plan",
        description="Show how many trials a sweep has, which are done or invalid, and what the rest would take.",
    )
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*", help="as after `kexp -m`")
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="accepted as in the planned command; has no effect"
    )
    parser.add_argument(
        "--config-dir", "-cd", "--config-path", "-cp", help="your folder of YAML, which takes precedence over kexp's"
    )
    parser.add_argument("--config-name", "-cn", default="config", help="the primary config (default: config)")
    parser.add_argument("--no-probe", action="store_true", help="build no models: shapes are not checked, no estimates")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_intermixed_args(list(arguments))
    from kexp.sweeps.events import runs_tasks
    from kexp.sweeps.launch.worker_process import default_workers
    from kexp.sweeps.sweep_command import opened_sweeper

    with opened_sweeper(options.overrides, options.config_dir, options.config_name) as (sweeper, overrides):
        choices = sweeper.config.hydra.runtime.choices
        if not hasattr(sweeper, "plan"):
            raise ConfigError.at("hydra/sweeper", "only a sweeper of kexp's can be planned", choices["hydra/sweeper"])
        trials = sweeper.plan(overrides)
        if not trials:
            raise ConfigError("the sweep has no trials")
        launcher, name = sweeper.launcher, str(choices["hydra/launcher"])
        workers = getattr(launcher, "n_workers", 1) or default_workers()
        saves_best_only = runs_tasks(launcher)  # Hydra's own launchers save every model
        searches = getattr(sweeper, "searches", False)
        left_out = getattr(sweeper, "left_out", [])
    if not searches:
        _mark_done(trials)
    probes: dict[str, Probe] = {}
    groups: list[str] = []
    lanes_s = 0.0
    if not options.no_probe:
        from kexp.sweeps.launch.probing import probe_structures

        probes = probe_structures(trials)
        if hasattr(launcher, "explain"):
            with tempfile.TemporaryDirectory(prefix="kexp-plan-") as folder:
                groups, lanes_s = launcher.explain(trials, Path(folder))
    summary = {"search": searches, **_summary(trials, probes, name, workers, saves_best_only, lanes_s)}
    summary |= {"groups": groups, "left_out": left_out}
    print(json.dumps(summary) if options.json else "\n".join(_lines(summary)))
    return 2 if all(trial.state == "INVALID" for trial in trials) else 0


def _mark_done(trials: list[Trial]) -> None:
    """Marks the trials that the store has as done. Warns if the store cannot be read; creates no store."""
    from kexp.errors import StoreError
    from kexp.experiment import store_of
    from kexp.schema import check
    from kexp.sweeps.plan.planning import mark_done
    from kexp.tracking import resolve_uri
    from kexp.tracking.settings import database_file

    valid = [trial for trial in trials if trial.state == "WAITING"]
    store = store_of(check(valid[0].config)) if valid else None
    if store is None:
        return
    file = database_file(resolve_uri(store))
    if file is not None and not file.is_file():
        return  # nothing was recorded yet, and planning creates no store
    try:
        mark_done(trials, store)
    except StoreError as error:
        print(f"kexp: which trials are done is not known: {error}", file=sys.stderr)


def _summary(
    trials: Sequence[Trial],
    probes: dict[str, Probe],
    launcher: str,
    workers: int,
    saves_best_only: bool,
    lanes_s: float,
) -> dict[str, Any]:
    """Returns how many trials are in each state, and the time, memory and disk that the waiting ones will take.

    Args:
        trials: all trials.
        probes: structure -> what a step of its model takes; empty for no estimates.
        launcher: the launcher's name.
        workers: how many trials run at the same time.
        saves_best_only: whether `save.keep` applies.
        lanes_s: the estimated seconds of the trials that are lanes; 0 if none are.
    """
    from kexp.schema import models_kept
    from kexp.sweeps.launch.fusing import is_lane
    from kexp.sweeps.launch.probing import structure_key
    from kexp.sweeps.table import own_overrides, shared_overrides

    states = Counter(str(trial.state) for trial in trials)
    shared = shared_overrides(trials)
    invalid: dict[str, list[str]] = {}
    for trial in trials:
        if trial.state == "INVALID":
            named = own_overrides(trial, shared)
            invalid.setdefault(trial.reason, []).append(named)
    waiting = [trial for trial in trials if trial.state == "WAITING"]
    workers = min(workers, max(1, len(waiting)))
    found: dict[str, Any] = {
        "trials": len(trials),
        "done": states["DONE"],
        "invalid": states["INVALID"],
        "to_run": len(waiting),
        "reasons": [{"reason": reason, "trials": named} for reason, named in invalid.items()],
        "launcher": launcher,
        "workers": workers,
        "structures": len(probes),
    }
    if probes and waiting:
        all_pairs = [(probes[structure_key(trial.config)], trial.config["trainer"]["epochs"]) for trial in waiting]
        not_lanes = [pair for pair, trial in zip(all_pairs, waiting, strict=True) if not lanes_s or not is_lane(trial)]
        found["seconds"] = lanes_s + sum(probe.trial_s(epochs) for probe, epochs in not_lanes) / workers
        most, most_alone = (
            max((probe.memory_mb for probe, _ in pairs), default=0.0) for pairs in (all_pairs, not_lanes)
        )
        found["memory_mb"] = max(most, workers * most_alone)
        kept = models_kept(waiting[0].config["save"]["keep"]) if saves_best_only else None
        sizes = sorted((probe.disk_mb for probe, _ in all_pairs), reverse=True)  # any of them may be kept
        found["disk_mb"] = sum(sizes[:kept])
    return found


def _lines(summary: dict[str, Any]) -> list[str]:
    """Returns the lines that `kexp plan` prints, from the summary that `--json` prints."""
    from kexp.training.progress import format_seconds

    states = ", ".join(f"{summary[key]} {name}" for key, name in _STATES.items())
    lines = [f"trials     {summary['trials']}: {states}"]
    for each in summary["reasons"]:
        named = each["trials"]
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        lines.append(f"invalid    {each['reason']}  [{'; '.join(named[:3])}{more}]")
    lines += [f"without    {each}" for each in summary["left_out"]]
    if not summary["to_run"]:
        return lines
    if summary["search"]:
        lines.append("search     each trial depends on the results of earlier ones; the first is the estimate for all")
    workers = f", {summary['workers']} at a time" if summary["workers"] > 1 and not summary["groups"] else ""
    lines.append(f"launcher   {summary['launcher']}{workers}")
    lines += summary["groups"]
    if "seconds" in summary:
        lines.append(f"structures {summary['structures']}, each built and trained for a step")
        lines.append(f"time       about {format_seconds(summary['seconds'])}, if every epoch is trained")
        lines.append(f"memory     about {summary['memory_mb']:,.0f} MB")
        lines.append(f"disk       about {summary['disk_mb']:,.1f} MB")
    return lines
