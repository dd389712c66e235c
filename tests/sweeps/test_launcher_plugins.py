"""Launchers and sweepers are entry points, kexp's own and other packages' alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributions import installed

from kexp import registry
from kexp.cli import main
from kexp.config.source import target
from kexp.signatures import of_callable
from kexp.system.folders import conf_folder

SOURCE = '''
from kexp.launching import HydraLauncher, Outcome


class Shouting(HydraLauncher):
    """Says the number of each trial, and runs none.

    Args:
        word: what it says before it.
    """

    def __init__(self, word: str = "trial", loud: bool = False) -> None:
        self.word, self.loud = word, loud

    def run_tasks(self, tasks, events):
        for task in tasks:
            events.on_start(task.number)
            print(f"{self.word} {task.number}{'!' * self.loud}")
            events.on_end(Outcome(task.number, "FINISHED"))
'''
OLD = """
from kexp.sweeps.launch.launchers import HydraSide


class Old(HydraSide):
    def run_tasks(self, tasks, *, settings, on_start, on_epoch, on_end):
        raise AssertionError("nothing is run")
"""
SWEEP = ["data=random", "seed=3,4", "tracking=none"]


@pytest.fixture
def shouting(tmp_path: Path) -> Iterator[None]:
    entries = {"kexp.launcher": {"shouting": "their_launcher:Shouting"}}
    with installed(tmp_path / "site", "their-launcher", {"their_launcher": SOURCE}, entries):
        yield


def kexp(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_package_adds_a_launcher_by_an_entry_point(
    shouting: None, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert kexp("-m", *SWEEP, "hydra/launcher=shouting", "hydra.launcher.loud=true") == 0
    assert "trial 0!\ntrial 1!\n" in capfd.readouterr().out


def test_launchers_parameters_are_its_config(
    shouting: None, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert kexp("--cfg", "hydra", "hydra/launcher=shouting", "hydra.launcher.word=number") == 0
    printed = capfd.readouterr().out
    assert "    word: number\n    loud: false\n" in printed
    assert kexp("-m", *SWEEP, "hydra/launcher=shouting", "hydra.launcher.quiet=true") == 2
    assert "hydra.launcher.quiet" in capfd.readouterr().err


def test_unknown_launcher_names_the_nearest_of_all_packages(
    shouting: None, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert kexp("-m", *SWEEP, "hydra/launcher=shuoting") == 2
    assert "did you mean 'shouting'?" in capfd.readouterr().err


def test_launcher_that_does_not_import_names_its_package(
    tmp_path: Path, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entries = {"kexp.launcher": {"broken": "their_broken:Launcher"}}
    with installed(tmp_path / "site", "their-broken", {"their_broken": "import no_such_module"}, entries):
        assert kexp("-m", *SWEEP, "hydra/launcher=broken") == 2
        told = capfd.readouterr().err
        assert "launcher=broken: their_broken:Launcher of their-broken 1.0 cannot be imported" in told
        assert kexp("--cfg", "hydra") == 0  # and costs nobody else anything


@pytest.mark.parametrize("sweeper", [(), ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2")])
def test_launcher_for_an_earlier_kexp_is_told_what_has_changed(
    sweeper: tuple[str, ...], tmp_path: Path, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entries = {"kexp.launcher": {"old": "their_old:Old"}}
    swept = "optimizer.learning_rate=0.1,0.2"
    with installed(tmp_path / "site", "their-old", {"their_old": OLD}, entries):
        assert kexp("-m", "data=random", swept, "tracking=none", "hydra/launcher=old", *sweeper) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "hydra/launcher: their_old:Old.run_tasks must take (tasks, events), got (tasks, *, settings, " in told
    assert not Path("multirun").exists()


def test_kexps_own_launchers_and_sweepers_stand_among_the_entry_points() -> None:
    assert {"serial", "processes", "fused"} <= set(registry.part_names("launcher"))
    assert {"grid", "optuna"} <= set(registry.part_names("sweeper"))


@pytest.mark.parametrize("group", ["launcher", "sweeper"])
def test_every_option_in_conf_has_the_parameters_and_defaults_of_its_class(group: str) -> None:
    """Files in `conf/` are read at every start, where importing the class would take too long; so they are a copy."""
    import yaml

    for file in (conf_folder() / "hydra" / group).glob("*.yaml"):
        written = yaml.safe_load(file.read_text())
        begun_with = next(iter(written.pop("defaults", [])), file.stem)
        defaults = {
            each.name: each.default for each in of_callable(registry.find_part(group, begun_with).load()).parameters
        }
        if begun_with != file.stem:  # a preset of another option
            assert written.keys() <= defaults.keys()
            continue
        assert written.pop("_target_") == target(group, file.stem)
        written.pop("_convert_", None)
        assert written == {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


def test_composing_a_single_run_imports_no_launcher() -> None:
    code = (
        "import sys\nfrom kexp.config import compose\ncompose(['seed=1'])\n"
        "print([name for name in sys.modules if name.startswith('kexp.sweeps')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
