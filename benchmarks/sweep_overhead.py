"""What a sweep costs besides training: planning, bookkeeping and tracking of trials that train nothing.

    python benchmarks/sweep_overhead.py --trials 100 1000 10000 --json

Each size is a whole sweep in a process and a store of its own: Hydra's config, every trial composed, checked and
fingerprinted, its 20 epochs reported and its run recorded with parameters, metrics, texts and data sets, the report
written. Only the launcher is replaced: it returns at once what a worker would have collected.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

EPOCHS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000], help="sizes of the sweeps")
    parser.add_argument("--json", action="store_true", help="end in one line of JSON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--profile", help="write cProfile's findings of a single size to this file")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.profile)))
        return
    rows = []
    print(f"{'trials':>7}  {'seconds':>8}  {'ms/trial':>8}  {'plan':>6}  {'run':>6}  {'end':>6}  {'peak MB':>8}")
    for trials in options.trials:
        command = [sys.executable, __file__, "--one", str(trials)]
        command += ["--profile", options.profile] if options.profile else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        parts = "  ".join(f"{row[f'{part}_ms']:>6.2f}" for part in ("plan", "run", "end"))
        print(f"{trials:>7}  {row['seconds']:>8.1f}  {row['ms_per_trial']:>8.2f}  {parts}  {row['peak_mb']:>8.0f}")
    ratio = rows[-1]["ms_per_trial"] / rows[0]["ms_per_trial"]
    packages = {name: version(name) for name in ("kexp", "mlflow", "hydra-core", "keras")}
    machine = {
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    print(f"a trial of the largest sweep costs {ratio:.2f} times one of the smallest")
    print(f"{machine['machine']}, {machine['cores']} cores, " + ", ".join(f"{k} {v}" for k, v in packages.items()))
    if options.json:
        print(json.dumps({"sweeps": rows, "ratio": ratio, **machine, "versions": packages}))


def measure(trials: int, profile: str | None) -> dict[str, Any]:
    """One sweep, in this process, in an empty folder."""
    from kexp.sweeps.sweep_command import opened_sweeper
    from kexp.sweeps.sweeper_steps import open_session
    from kexp.tracking import StoreSettings, prepare_store

    profiler = None
    with tempfile.TemporaryDirectory(prefix="kexp-benchmark-") as folder:
        os.chdir(folder)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        prepare_store(StoreSettings())  # MLflow's import and the tables: once for any number of sweeps
        rates = ",".join(f"{0.001 * (1 + number):.6f}" for number in range(trials // 10))
        arguments = ["optimizer=sgd,adam", f"optimizer.learning_rate={rates}", "seed=range(5)", "trainer.verbose=0"]
        with opened_sweeper(arguments) as (sweeper, swept):
            sweeper.launcher = Instant()
            if profile:
                import cProfile

                profiler = cProfile.Profile()
                profiler.enable()
            moments = [time.perf_counter()]
            planned = sweeper.plan(swept)
            moments.append(time.perf_counter())
            session = open_session(sweeper, planned)
            with session.running():
                session.skip_done()
                session.run(sweeper.launcher, planned)
                moments.append(time.perf_counter())
            moments.append(time.perf_counter())
            if profiler and profile:
                profiler.disable()
                profiler.dump_stats(profile)
        assert len(planned) == trials and all(trial.state == "FINISHED" for trial in planned)
        os.chdir("/")
    plan, run, end = (1000 * (b - a) / trials for a, b in itertools.pairwise(moments))
    return {
        "who": "kexp",
        "what": "sweep",
        "trials": trials,
        "seconds": moments[-1] - moments[0],
        "ms_per_trial": plan + run + end,
        "plan_ms": plan,
        "run_ms": run,
        "end_ms": end,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class Instant:
    """A launcher whose trials end as soon as they start, with the record that a trained one would have."""

    def run_tasks(self, tasks: Any, events: Any) -> None:
        from kexp.sweeps.trials import Outcome
        from kexp.tracking import CollectedRun, flatten

        for task in tasks:
            events.on_start(task.number)
            fingerprint = Path(task.checkpoint).name
            run = CollectedRun(
                task.name,
                Path(task.folder),
                tags={"kexp.fingerprint": fingerprint, **task.tags},
                parent_run_id=task.parent_run_id,
            )
            run.log_params(flatten({k: v for k, v in task.config.items() if k not in ("tracking", "sweep")}))
            for path in ("config.yaml", "overrides.txt", "model_summary.txt", "environment.json", "data.json"):
                run.log_text(path * 100, path)
            for context in ("train", "validation", "test"):
                run.log_dataset(name="digits", digest="d" * 36, context=context, source="kexp data=digits")
            metrics: dict[str, float] = {}
            for epoch in range(1, EPOCHS + 1):
                value = 1 / epoch + task.number * 1e-5
                metrics = {
                    "loss": value,
                    "accuracy": 1 - value,
                    "val_loss": 1.1 * value,
                    "val_accuracy": 1 - 1.1 * value,
                }
                run.log_metrics(metrics, step=epoch)
                events.on_epoch(task.number, epoch, metrics)
            run.end("FINISHED")
            events.on_end(Outcome(task.number, "FINISHED", metrics=metrics, record=run.record()))


if __name__ == "__main__":
    main()
