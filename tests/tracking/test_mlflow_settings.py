"""MLflow's variables: which experiment and run are meant, and what is said of those that kexp leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kexp
from kexp.errors import ConfigError, UnknownNameError
from kexp.tracking import StoreSettings, chosen_store, command_line, find_run, ignored_variables, prepare_store, search
from kexp.tracking.run.recorded_run import start_run
from kexp.tracking.store.client import client_for

SMALL = ["data=iris", "trainer.epochs=1", "save=none", "tracking.figures=false", "trainer.verbose=0"]


@pytest.fixture
def numbers(workplace: Path) -> dict[str, str]:
    """A store with two experiments: name -> id."""
    return {name: prepare_store(StoreSettings(experiment=name)) for name in ("first", "second")}


@pytest.mark.parametrize(
    ("asked", "name", "of", "meant"),
    [
        (None, None, None, "kexp"),
        (None, "first", None, "first"),
        (None, "not yet there", None, "not yet there"),
        (None, None, "second", "second"),
        (None, "second", "second", "second"),
        ("asked", "first", None, "asked"),
        ("asked", "first", "second", "asked"),
        (None, "", None, "kexp"),
    ],
)
def test_what_is_asked_for_wins_then_the_variables_then_the_usual(
    numbers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    name: str | None,
    of: str | None,
    meant: str,
) -> None:
    if name is not None:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    if of is not None:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", numbers[of])
    assert chosen_store(None, asked).experiment == meant


def test_variables_that_contradict_each_other_or_the_store_are_refused(
    numbers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", numbers["first"])
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "second")
    with pytest.raises(ConfigError, match=r"is the experiment 'first', but MLFLOW_EXPERIMENT_NAME is 'second'"):
        chosen_store()
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "12345")
    with pytest.raises(ConfigError, match=r"^MLFLOW_EXPERIMENT_ID: there is no experiment '12345'"):
        chosen_store()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert chosen_store("sqlite:///none_yet.db").experiment == "Default"


def test_what_mlflow_was_told_in_python_is_meant(workplace: Path) -> None:
    code = (
        "import mlflow; mlflow.set_tracking_uri('sqlite:///told.db'); mlflow.set_experiment('told')\n"
        "import kexp.tracking as t; s = t.chosen_store(); print(s.experiment, t.resolve_uri(s))\n"
        "print(t.chosen_store(None, 'asked').experiment)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["told", f"sqlite:///{workplace}/told.db", "asked"]


def test_a_run_that_is_open_is_taken_up_once(numbers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As `mlflow run` opens one: by MLFLOW_RUN_ID, in the experiment of MLFLOW_EXPERIMENT_ID, with parameters on it."""
    opened = start_run(StoreSettings(experiment="second"), "by mlflow", {}, None)
    client_for(opened.uri).log_param(opened.run_id, "alpha", "0.5")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", numbers["second"])
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.run_id)
    first, second = kexp.run(SMALL), kexp.run([*SMALL, "seed=1"])
    assert (first.run_id, first.name) == (opened.run_id, "by mlflow")
    assert second.run_id != opened.run_id
    taken = find_run(StoreSettings(experiment="second"), opened.run_id)
    assert (taken.status, taken.params["alpha"], taken.params["optimizer.name"]) == ("FINISHED", "0.5", "adam")
    assert taken.metrics["val_loss"] == first.metrics["val_loss"]
    assert {view.run_id for view in search(StoreSettings(experiment="second"))} == {first.run_id, second.run_id}


@pytest.mark.parametrize(
    ("run_id", "asked", "error", "sentence"),
    [
        ("nonsense", [], ConfigError, "MLFLOW_RUN_ID: must be the id of a run, got 'nonsense'"),
        ("0" * 32, [], UnknownNameError, f"MLFLOW_RUN_ID: there is no run '{'0' * 32}'"),
        ("", ["tracking.experiment=first"], ConfigError, "tracking.experiment: must be 'second'"),
    ],
)
def test_a_run_that_cannot_be_taken_up_is_said(
    numbers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    run_id: str,
    asked: list[str],
    error: type[ConfigError],
    sentence: str,
) -> None:
    opened = start_run(StoreSettings(experiment="second"), "by mlflow", {}, None)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id or opened.run_id)
    with pytest.raises(error) as refused:
        kexp.run([*SMALL, *asked])
    assert str(refused.value).startswith(sentence)


def test_what_is_left_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ignored_variables() == []
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    assert [each.split()[0] for each in ignored_variables()] == ["MLFLOW_RUN_ID"]


def test_the_registry_is_the_one_that_mlflow_was_told(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///registry.db")
    assert client_for(f"sqlite:///{workplace}/of_a_registry.db")._registry_uri == "sqlite:///registry.db"


def test_a_command_names_what_it_would_not_find(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def line(uri: str | None = None, experiment: str = "kexp") -> str:
        return command_line("compare", "it's", store=StoreSettings(uri, experiment), experiment=True)

    assert line() == line(f"sqlite:///{workplace}/mlflow.db") == """kexp compare 'it'"'"'s'"""
    assert line("http://host:5000").endswith(" --uri http://host:5000")
    assert line(experiment="a b").endswith(" --experiment 'a b'")
    assert line("http://me:secret@host").endswith(" --uri 'http://me:***@host'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    assert "uri" not in line("http://me:secret@host")
    assert line(f"sqlite:///{workplace}/mlflow.db").endswith(f" --uri sqlite:///{workplace}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    assert "--experiment kexp" in line()
    assert os.environ["MLFLOW_EXPERIMENT_NAME"] == "other"
