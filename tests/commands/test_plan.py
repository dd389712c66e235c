"""`kexp plan`: what a sweep would take, before it is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kexp.cli import main


@pytest.fixture
def planned(workplace: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """The plan of a sweep of small trainings."""

    def plan(*overrides: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as end:
            main(["plan", "--json", "-m", "trainer.epochs=1", *overrides])
        assert not end.value.code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return plan


def test_the_disk_that_a_sweep_takes_is_that_of_the_models_that_it_keeps(planned: Any) -> None:
    import own_parts  # imports Keras here, on another backend than the trials'

    four = ("hydra/launcher=processes", "seed=range(4)", f"loss={own_parts.__name__}:squared", "backend=jax")
    whole = planned(*four, "save.keep=all")["disk_mb"]
    assert whole > 0
    assert planned(*four, "save.keep=top:3")["disk_mb"] == pytest.approx(whole * 3 / 4)
    assert planned(*four, "save.keep=none")["disk_mb"] == 0


def test_a_search_is_planned_by_its_first_trial(planned: Any) -> None:
    found = planned(
        "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "optimizer=sgd,adam", "sweep.seeds=2", "save.keep=best"
    )
    assert (found["search"], found["trials"], found["to_run"], found["structures"]) == (True, 12, 12, 1)
    assert found["seconds"] > 0


def test_a_file_of_yaml_adds_seeds_as_the_command_line_does(planned: Any, workplace: Path) -> None:
    (workplace / "sweep").mkdir()
    (workplace / "sweep" / "five.yaml").write_text("# @package _global_\nsweep: {seeds: 5}\n")
    found = planned("+sweep=five", "optimizer=sgd,adam", "--no-probe", f"--config-dir={workplace}")
    assert found["trials"] == 10
