"""The contract of launchers, sweepers and engines, which run experiments.

Each runs a small real sweep with a store in a process of its own, so that its side effects stay there.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kexp.errors import ComponentError, ConfigError, KexpError
from kexp.registry import Component
from kexp.signatures import REQUIRED, of_callable
from kexp.testing.staging import available_backends

__all__ = ["check_seam"]

_LIMIT_S = 300
_TRIALS = 2
# Group -> method -> (positional arguments, keyword arguments) that its signature must accept.
_CALLS: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {
    "launcher": {"setup": (0, ("hydra_context", "task_function", "config"))},
    "sweeper": {"setup": (0, ("hydra_context", "task_function", "config")), "sweep": (1, ())},
}
_RUN_TASKS = (2, ())
_LAUNCH = (2, ())
_SMALL = ("data=random", "data.rows=60", "model.hidden=[4]", "trainer.epochs=1", "trainer.batch_size=16", "save=none")


def check_seam(component: Component) -> tuple[int, list[tuple[str, str]]]:
    """Checks a launcher, a sweeper or an engine. Stops at the first failed check, since later ones depend on it.

    Args:
        component: of one of `kexp.registry.PARTS`.

    Returns:
        How many checks passed, and (check, sentence) of the failed one, if any.
    """
    steps: list[tuple[str, Callable[[Component], str | None]]] = [("loads", _loads), ("signature", _signature)]
    if component.group == "engine":
        steps += [("trains and tests a model", _trains)]
    else:
        steps += [("is made of its defaults", _is_made), ("runs a sweep of two trials", _sweeps)]
    for passed, (name, step) in enumerate(steps):
        problem = step(component)
        if problem:
            return passed, [(name, problem)]
    return len(steps), []


def _loads(component: Component) -> str | None:
    try:
        made = component.load()
    except ComponentError as error:
        return str(error)
    if component.group != "engine" and not inspect.isclass(made):
        return f"{component.target} must be a class, got {type(made).__name__}"
    return None


def _signature(component: Component) -> str | None:
    """Returns why the signature does not accept kexp's calls; None if it does."""
    made = component.load()
    if component.group == "engine":
        return _unbound(made, 2, ("listeners", "checkpoint"), component.target)
    calls = dict(_CALLS[component.group])
    if component.group == "launcher":
        calls |= {"run_tasks": _RUN_TASKS} if hasattr(made, "run_tasks") else {"launch": _LAUNCH}
    for method, (positional, by_name) in calls.items():
        if not callable(getattr(made, method, None)):
            return f"{component.target} must have a method {method}; inherit kexp.launching.HydraLauncher"
        problem = _unbound(getattr(made, method), 1 + positional, by_name, f"{component.target}.{method}")
        if problem:
            return problem
    return None


def _unbound(function: Any, positional: int, by_name: Sequence[str], label: str) -> str | None:
    signature = inspect.signature(function)
    try:
        signature.bind(*range(positional), **dict.fromkeys(by_name))
    except TypeError as error:
        wanted = f"{positional} arguments by position" if positional else "no arguments by position"
        named = f" and {', '.join(by_name)} by name" if by_name else ""
        return f"{label}{signature} must take {wanted}{named}: {error}"
    return None


def _is_made(component: Component) -> str | None:
    signature = of_callable(component.load())
    required = [p.name for p in signature.parameters if p.default is REQUIRED]
    if required:
        return f"each parameter must have a default, which is its config; without one: {', '.join(required)}"
    try:
        component.load()()
    except Exception as error:  # the component's code may raise anything
        return f"{component.target}() raised {type(error).__name__}: {error}"
    return None


def _sweeps(component: Component) -> str | None:
    """Runs a sweep of two trials and checks that the store has both as finished runs."""
    name = component.name
    if component.group == "launcher":
        chosen = [f"hydra/launcher={name}", "seed=3,4"]
    else:
        takes = of_callable(component.load())
        count = [f"hydra.sweeper.n_trials={_TRIALS}"] if "n_trials" in takes else []
        chosen = [f"hydra/sweeper={name}", *count, "hydra/launcher=serial", "optimizer.learning_rate=0.01,0.02"]
    backend = [f"backend={each}" for each in ("jax", "tensorflow") if each in available_backends()][:1]
    with tempfile.TemporaryDirectory(prefix="kexp-check-") as folder:
        store = f"sqlite:///{Path(folder, 'runs.db')}"
        arguments = ["-m", *_SMALL, *backend, f"tracking.uri={store}", *chosen]
        code, message = _python(["-m", "kexp", *arguments], folder)
        if code:
            return f"kexp {' '.join(chosen)} ended with code {code}: {message}"
        finished = _finished(store)
    if finished != _TRIALS:
        return f"a sweep of {_TRIALS} trials must leave {_TRIALS} finished runs in the store, got {finished}"
    return None


def _finished(store: str) -> int:
    """Returns the number of finished trials in the store."""
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, "attributes.status = 'FINISHED'")
    return sum("mlflow.parentRunId" in run.data.tags for run in runs)


def _trains(component: Component) -> str | None:
    """Trains an epoch and evaluates the test rows on the installed backends; None if one of them succeeds."""
    message = ""
    for backend in available_backends():
        code, message = _python(["-m", "kexp.testing.seams", component.name], None, KERAS_BACKEND=backend)
        if not code:
            return None
    return message


def _python(arguments: Sequence[str], folder: str | None, **variables: str) -> tuple[int, str]:
    """Runs a Python process; returns its exit code and the last line of its errors, or else of its output."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    search = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**kept, "PYTHONPATH": search, **variables},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"it did not end within {_LIMIT_S} s"
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return done.returncode, lines[-1].strip() if lines else ""


def _train_with(name: str) -> str | None:
    """Trains with an engine in this process; returns the problem, None if there is none."""
    import numpy as np

    from kexp.experiment import Trained, engine_of, prepare
    from kexp.experiment.compiled import build_compiled
    from kexp.testing.staging import current_backend, stage
    from kexp.training import prepare_backend

    experiment = stage("optimizer", "adam", {}, ["trainer.steps_per_epoch=null"], backend=current_backend())
    prepare_backend(experiment.backend)
    prepared = prepare(experiment)
    made = engine_of(name)(prepared, build_compiled(prepared))
    if not isinstance(made, Trained):
        return f"must return a kexp.experiment.Trained, got {type(made).__name__}"
    columns = made.history.columns()
    for label, values in (("loss of the epoch", columns.get("loss")), ("loss of the test", made.tested.get("loss"))):
        if values is None or not np.isfinite(values).all():
            return f"must give a finite {label}, got {values}"
    return None


def _main() -> int:
    try:
        problem = _train_with(sys.argv[1])
    except (KexpError, ConfigError) as error:
        problem = str(error)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(_main())
