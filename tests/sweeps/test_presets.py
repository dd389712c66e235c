"""A sweep that presets bring: its axes, seeds, launcher and mode, and a sweep over several of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kexp.cli import main
from kexp.sweeps.sweep_command import opened_sweeper

SMALL = "trainer: {epochs: 1}\nsave: {formats: [], model: false}\n"
PRESETS = {
    "sweep/rates.yaml": "hydra: {sweeper: {params: {optimizer.learning_rate: '0.01,0.02'}}}",
    "sweep/depths.yaml": "hydra: {sweeper: {params: {model.hidden: '[8],[8,8],[4]'}}}",
    "sweep/twice.yaml": "sweep: {seeds: 2}",
    "experiment/waits.yaml": "defaults: [override /hydra/launcher: serial, override /optimizer: sgd]",
    "experiment/other.yaml": "defaults: [override /hydra/launcher: processes]",
    "experiment/also.yaml": "defaults: [override /hydra/launcher: serial, override /loss: poisson]",
    "experiment/seeded.yaml": "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n" + SMALL,
    "experiment/named.yaml": "sweep: {name: mine}",
    "experiment/searched.yaml": "hydra: {sweeper: {params: {optimizer.learning_rate: 'interval(0.1,1)'}}}",
}


@pytest.fixture
def presets(workplace: Path) -> Path:
    for name, text in PRESETS.items():
        (workplace / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (workplace / "mine" / name).write_text(f"# @package _global_\n{text}\n")
    return workplace / "mine"


def planned(presets: Path, *arguments: str) -> tuple[list[tuple[str, ...]], Any]:
    with opened_sweeper(arguments, presets) as (sweeper, swept):
        return [trial.overrides for trial in sweeper.plan(swept)], sweeper.launcher


def refused(presets: Path, *arguments: str) -> str:
    from kexp.errors import ConfigError

    with pytest.raises(ConfigError) as caught:
        planned(presets, *arguments)
    return str(caught.value)


def test_a_sweep_over_sweeps_has_the_trials_of_each(presets: Path) -> None:
    found, _ = planned(presets, "+sweep=rates,depths", "data=iris")
    assert [each for each in found if "+sweep=rates" in each] == [
        ("optimizer.learning_rate=0.01", "+sweep=rates", "data=iris"),
        ("optimizer.learning_rate=0.02", "+sweep=rates", "data=iris"),
    ]
    assert len(found) == 2 + 3
    assert len(planned(presets, "+sweep=rates,depths", "seed=1,2")[0]) == 2 * (2 + 3)
    assert len(planned(presets, "+sweep=rates,twice,depths")[0]) == 2 + 2 + 3


def test_presets_that_bring_no_axes_are_an_axis(presets: Path) -> None:
    found, launcher = planned(presets, "experiment=waits,also", "seed=1,2")
    assert found == [(f"experiment={name}", f"seed={seed}") for name in ("waits", "also") for seed in (1, 2)]
    assert type(launcher).__name__ == "SerialLauncher"


@pytest.mark.parametrize(
    ("arguments", "launcher"),
    [
        (["experiment=waits", "seed=1,2"], "SerialLauncher"),
        (["experiment=other", "seed=1,2"], "ProcessesLauncher"),
        (["experiment=other", "hydra/launcher=serial"], "SerialLauncher"),
        (["seed=1,2"], "AutoLauncher"),
    ],
)
def test_the_launcher_is_the_presets_unless_the_command_line_names_one(
    presets: Path, arguments: list[str], launcher: str
) -> None:
    assert type(planned(presets, *arguments)[1]).__name__ == launcher


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["experiment=waits,other"],
            "hydra.launcher: experiment=waits and experiment=other do not agree on it, and a sweep has one; "
            "give it on the command line, or run them as two sweeps",
        ),
        (["experiment=waits,named", "hydra/launcher=serial"], "sweep.name: experiment=waits and experiment=named"),
        (["hydra/launcher=serial,processes"], "hydra/launcher: cannot be swept over; a sweep has one, so run a sweep"),
        (["hydra.launcher.n_workers=1,2", "hydra/launcher=processes"], "hydra.launcher.n_workers: cannot be swept"),
        (
            ["experiment=searched,waits", "hydra/sweeper=optuna", "hydra/launcher=serial"],
            "hydra.sweeper: only hydra/sweeper=grid can sweep over presets that have axes of their own",
        ),
    ],
)
def test_what_cannot_be_one_sweep_is_refused(presets: Path, arguments: list[str], said: str) -> None:
    assert refused(presets, *arguments).startswith(said)


def test_a_preset_with_a_mode_is_a_sweep_without_a_flag(presets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["experiment=seeded", "data=iris", "hydra/launcher=serial", f"--config-dir={presets}"])
    printed = capsys.readouterr()
    assert not end.value.code, printed.err
    assert "2 trials, 2 to run" in printed.err
    with pytest.raises(SystemExit):
        main(["plan", "experiment=seeded", "data=iris", "--no-probe", "--json", f"--config-dir={presets}"])
    found = json.loads(capsys.readouterr().out)
    assert (found["trials"], found["done"]) == (2, 2)
