"""`hydra/launcher=auto`: lanes or worker processes, structure by structure, whichever takes less time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from kexp.cli import main
from kexp.sweeps.launch.auto import decide
from kexp.sweeps.launch.lanes.estimates import START_S, Estimate
from kexp.tracking import RunView, StoreSettings, search

AUTO = ["-m", "hydra/launcher=auto", "trainer.epochs=2", "tracking.figures=false"]
KEEPS = "+callbacks.kept={name: model_checkpoint, filepath: best.keras},null"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def trials() -> dict[str, RunView]:
    """The newest run of each trial."""
    views = search(StoreSettings(), newest_first=False)
    return {view.tags["kexp.trial"]: view for view in views if view.parent_run_id is not None}


def test_a_sweep_runs_by_lanes_and_by_workers_and_is_resumed_as_it_was_begun(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rates = "optimizer.learning_rate=0.01,1e30"
    sweep = [*AUTO, "optimizer=sgd", rates, KEEPS, "hydra.launcher.n_workers=1", "save.keep=none"]
    assert run(*sweep) == 1
    printed = capfd.readouterr().out
    assert [trials()[number].params["backend"] for number in "0123"] == ["tensorflow", "jax"] * 2
    assert [trials()[number].status for number in "0123"] == ["FINISHED"] * 2 + ["FAILED"] * 2
    assert "2 trials as lanes: with such layers lanes take less time" in printed
    assert "2 trials in worker processes: callbacks.kept: ModelCheckpoint works on the whole model" in printed
    assert "dropout, noise and random augmentation draw other numbers on JAX than on TensorFlow" in printed
    (choices,) = workplace.glob("multirun/*/launcher.json")
    assert sorted(json.loads(choices.read_text()).values()) == ["fused", "processes"]
    choices.write_text(choices.read_text().replace("fused", "processes"))
    assert run(*sweep) == 1
    printed = capfd.readouterr()
    assert "4 trials, 2 done already, 2 to run" in printed.err
    assert "2 trials in worker processes: as it was begun" in printed.out
    assert [trials()[number].params["backend"] for number in "23"] == ["tensorflow"] * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trainer=compiled"], ["1 trial as lanes: trainer.engine is compiled"]),
        (
            ["backend=tensorflow,jax", "seed=range(9)"],
            [
                "9 trials in worker processes: backend=tensorflow was named",
                "9 trials as lanes: with such layers",
                "group 1: 9 trials",
            ],
        ),
        (["model=cnn", "model.filters=[2]"], ["1 trial as lanes: by estimate"]),
        (["optimizer=keras.optimizers:Adam"], ["1 trial as lanes: by estimate"]),
    ],
)
def test_a_plan_tells_what_is_chosen_and_why(
    arguments: list[str],
    told: list[str],
    workplace: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["plan", *AUTO, *arguments])
    printed = capfd.readouterr().out
    assert not caught.value.code, printed
    for line in told:
        assert line in printed
    assert not (workplace / "multirun").exists()


def test_a_search_is_weighed_once(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    searched = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler=random"]
    assert run(*AUTO, *searched, "optimizer.learning_rate=tag(log,interval(1e-3,1e-2))", "save.keep=best") == 0
    assert "3 trials as lanes: with such layers" in capfd.readouterr().out
    assert {view.params["trainer.engine"] for view in trials().values()} == {"compiled"}
    (choices,) = workplace.glob("multirun/*/launcher.json")
    assert json.loads(choices.read_text()) == {"search": "fused"}


@pytest.mark.parametrize(
    ("weighed", "sunk", "chosen"),
    [
        ([(10.0, 30.0)], False, ["fused"]),
        ([(60.0, 30.0)], False, ["processes"]),
        ([(30.0 + START_S / 2, 30.0)], False, ["fused"]),  # what is gained does not pay for starting workers
        ([(30.0 + START_S / 2, 30.0)], True, ["processes"]),
        ([(30.0 + START_S / 2, 30.0), (30.0 + START_S / 2 + 1, 30.0)], False, ["processes"] * 2),
        ([(30.0 + START_S / 2, 30.0), (math.inf, 0.0), (1.0, 2.0)], False, ["processes", "processes", "fused"]),
    ],
)
def test_what_is_slower_as_lanes_goes_to_workers_where_that_pays_for_starting_them(
    weighed: list[tuple[float, float]], sunk: bool, chosen: list[str]
) -> None:
    given = [Estimate([place], fused, workers) for place, (fused, workers) in enumerate(weighed)]
    found = {each.shares[0]: choice.how for each, choice in decide(given, sunk)}
    assert [found[place] for place in range(len(given))] == chosen
