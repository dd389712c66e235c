from __future__ import annotations

from pathlib import Path

import pytest

from kexp import stored
from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.tracking import RunRecord, StoreSettings, log_finished_runs


@pytest.fixture
def two_experiments(workplace: Path) -> None:
    """Runs aaaa... and aaab... in one experiment, aaac... in another, each later than the one before."""
    for at, (experiment, letter) in enumerate([("one", "a"), ("one", "b"), ("two", "c")]):
        record = RunRecord(letter, "FINISHED", 1000 + at, 2000 + at, run_id="aaa" + letter * 29)
        log_finished_runs(StoreSettings(experiment=experiment), [record])


def test_find_takes_latest_and_prefixes_from_any_experiment(two_experiments: None) -> None:
    assert stored.find("latest").view.run_id == "aaac" + "c" * 28
    assert stored.find("latest", experiment="one").view.run_id == "aaab" + "b" * 28
    assert stored.find("aaac").view.experiment == "two"
    assert stored.find("aaaaa").view.run_id == "a" * 32


def test_find_refuses_what_means_several_runs_or_none(two_experiments: None) -> None:
    with pytest.raises(ConfigError, match=r"RUN: 'aaa' begins the ids of"):
        stored.find("aaa")
    with pytest.raises(ConfigError, match=r"RUN: 'aaa' begins the ids of 2 runs"):
        stored.find("aaa", experiment="one")
    log_finished_runs(StoreSettings(experiment="two"), [RunRecord("adam-0", "FINISHED", 1, 2, run_id="d" * 32)])
    assert stored.find("adam-0").view.run_id == "d" * 32
    log_finished_runs(StoreSettings(experiment="one"), [RunRecord("adam-0", "FINISHED", 1, 2, run_id="e" * 32)])
    with pytest.raises(ConfigError, match=r"RUN: 'adam-0' is the name of 2 runs: .*in two, .*in one, .*the beginning"):
        stored.find("adam-0")
    assert stored.find("adam-0", experiment="one").view.run_id == "e" * 32
    with pytest.raises(UnknownNameError, match=r"RUN: there is no run 'aab'"):
        stored.find("aab")
    with pytest.raises(ConfigError, match=r"there is no run yet in experiment 'three'"):
        stored.find("latest", experiment="three")


def test_find_makes_no_store_where_there_is_none(workplace: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no tracking store at sqlite:///"):
        stored.find("latest")
    assert not list(workplace.iterdir())
