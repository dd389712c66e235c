"""A run repeated from its config, and held against what the store has of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import TrainingError
from kexp.schema import Experiment
from kexp.stored.config import load_experiment
from kexp.stored.runs import StoredRun
from kexp.tracking import environment, metric_history, resolve_uri

if TYPE_CHECKING:
    from kexp.experiment import Result
    from kexp.training import History

__all__ = ["Comparison", "Difference", "changed_packages", "compare", "repeat"]


@dataclass(frozen=True)
class Difference:
    """Where two runs part.

    Attributes:
        metric: the metric.
        epoch: counted from 1; None for a test metric.
        then: the value in the store, None where it has none.
        now: the value of the repetition, None where it has none.
    """

    metric: str
    epoch: int | None
    then: float | None
    now: float | None


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        metrics: what was compared, in the order of the history, test metrics last.
        epochs: how many epochs the repetition has.
        differences: every difference, the earliest first, test metrics last.
    """

    metrics: tuple[str, ...]
    epochs: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every value is the same."""
        return not self.differences


def repeat(run: StoredRun, folder: Path, *, save: bool = False) -> tuple[History, dict[str, float], Result | None]:
    """Runs a run's config again.

    Args:
        run: the run.
        folder: where the files of the repetition go.
        save: record the repetition as a run of its own, in the same store, with its models; but never in the registry.

    Returns:
        The history, the test metrics, and the finished run; None in its place where training diverged (again).

    Raises:
        ConfigError: the config cannot be any more.
    """
    from kexp import experiment as experiments

    chosen = load_experiment(run, settle=False)
    kept = replace(chosen.save, register=None) if save else replace(chosen.save, formats=[], model=False, register=None)
    tracking = replace(chosen.tracking, enabled=save, uri=resolve_uri(run.settings), experiment=run.view.experiment)
    repeated: Experiment = replace(chosen, tracking=tracking, save=kept)
    if fewer := run.view.tags.get("kexp.fewer_lanes"):  # what fitted into memory then; part of the result's bits
        repeated = replace(repeated, fused=replace(chosen.fused, max_lanes=int(fewer)))
    overrides = tuple((run.text("overrides.txt") or "").split("\n")[:-1])
    source = experiments.Source(overrides=overrides, yaml=run.text("config.yaml") or "")
    try:
        result = experiments.run(repeated, folder, source=source, tags={"kexp.reproduces": run.view.run_id})
    except TrainingError as error:
        history: History | None = getattr(error, "history", None)
        if history is None:
            raise
        return history, {}, None
    tested = {key: value for key, value in result.metrics.items() if key.startswith("test_")}
    return result.history, tested, result


def compare(run: StoredRun, history: History, tested: Mapping[str, float]) -> Comparison:
    """A repetition against what the store has of the run."""
    from kexp.experiment.epoch_metrics import RATE

    now = {(key, epoch): value for epoch, metrics in history.epochs for key, value in metrics.items()}
    fitted = list(dict.fromkeys(key for key, _ in now))
    # A rate that no callback measured is told by the config, and not by training.
    known = [key for key in run.view.metrics if not key.startswith("test_") and "/" not in key and key != RATE]
    keys = [*fitted, *(key for key in known if key not in fitted)]
    then: dict[tuple[str, int], float] = {}
    for key in keys:
        then.update(((key, point.step), point.value) for point in metric_history(run.settings, run.view.run_id, key))
    places = sorted({*now, *then}, key=lambda place: (place[1], keys.index(place[0])))
    found = [Difference(key, epoch, then.get((key, epoch)), now.get((key, epoch))) for key, epoch in places]
    stored = {key: value for key, value in run.view.metrics.items() if key.startswith("test_")}
    tests = list(dict.fromkeys([*tested, *stored]))
    found += [Difference(key, None, stored.get(key), tested.get(key)) for key in tests]
    differences = tuple(each for each in found if not _same(each.then, each.now))
    return Comparison((*keys, *tests), len(history), differences)


def changed_packages(run: StoredRun) -> dict[str, tuple[str, str]]:
    """Package -> its version then and now, of each that is another; and Python's, as `python`."""
    noted = run.json("environment.json") or {}
    current = environment()
    then = {"python": noted.get("python", ""), **noted.get("packages", {})}
    now = {"python": current["python"], **current["packages"]}
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return {name: (str(then.get(name, "absent")), str(now.get(name, "absent"))) for name in names} if noted else {}


def _same(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return False
    return then == now or (math.isnan(then) and math.isnan(now))
