"""Runs are found as people name them, and nothing is read from outside of a run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.tracking import RunRecord, RunView, StoreSettings, fetch_artifact, find_run, log_finished_runs, search
from kexp.tracking.reading import on_server
from kexp.tracking.reading import runs as reading
from kexp.tracking.reading.runs import run_with_id
from kexp.tracking.store.database import tables


def runs(settings: StoreSettings, *run_ids: str) -> None:
    log_finished_runs(
        settings,
        [
            RunRecord(
                f"run {index}",
                "FINISHED",
                1000 + index,
                2000,
                tags={"kind": "it's" if index % 2 else "b"},
                run_id=run_id,
            )
            for index, run_id in enumerate(run_ids)
        ],
    )


A, B, C = "abc1" + "0" * 28, "abc2" + "0" * 28, "def" + "0" * 29


def test_run_is_found_by_id_unique_prefix_and_latest(settings: StoreSettings) -> None:
    runs(settings, A, B, C)
    for ref, run_id in ((A, A), ("abc1", A), ("d", C), ("latest", C)):
        assert find_run(settings, ref).run_id == run_id


def test_prefix_of_several_runs_lists_them(settings: StoreSettings) -> None:
    runs(settings, A, B, C)
    with pytest.raises(ConfigError, match=r"RUN: 'abc' begins the ids of 2 runs: .*run 0.*") as caught:
        find_run(settings, "abc")
    assert "run 1" in str(caught.value)


def test_run_is_found_by_its_name_where_one_run_alone_has_it(settings: StoreSettings) -> None:
    runs(settings, A, B, C)
    assert find_run(settings, "run 1").run_id == B
    again = RunRecord("run 1", "FINISHED", 5000, 6000, run_id="abe" + "0" * 29)
    begins = RunRecord("abe", "FINISHED", 7000, 8000, run_id="e" * 32)
    log_finished_runs(settings, [again, begins])
    with pytest.raises(
        ConfigError, match=r"^RUN: 'run 1' is the name of 2 runs: abe00000 \(run 1, .*abc20000 \(run 1, "
    ):
        find_run(settings, "run 1")
    with pytest.raises(ConfigError, match=r"'abe' is the name of a run and begins the id of a run: eeeeeeee.*abe00000"):
        find_run(settings, "abe")
    with pytest.raises(UnknownNameError, match=r"there is no run 'run 3'; did you mean 'run 2'\?"):
        find_run(settings, "run 3")


@pytest.mark.parametrize("ref", ["fff", "f" * 32, "lates", "%", "_" * 5, "a' or '1'='1", "../../etc"])
def test_unknown_run_is_told(ref: str, settings: StoreSettings) -> None:
    runs(settings, A)
    with pytest.raises(UnknownNameError, match="RUN: there is no run"):
        find_run(settings, ref)


def test_latest_of_nothing_is_told(settings: StoreSettings) -> None:
    with pytest.raises(StoreError, match="there is no tracking store"):
        find_run(settings, "latest")
    runs(settings)
    with pytest.raises(ConfigError, match="there is no run yet"):
        find_run(settings, "latest")


def test_reading_makes_no_store(settings: StoreSettings, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        list(search(settings))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["tables", "client"])
def test_search_pages_through_all(way: str, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_ids = [f"{index:032x}" for index in range(25)]
    runs(settings, *run_ids)
    monkeypatch.setattr(on_server, "_PAGE", 4)
    monkeypatch.setattr(tables, "_A_QUERY", 4)
    if way == "client":
        monkeypatch.setattr(reading, "open_database", lambda uri: None)

    def found(**how: Any) -> list[str]:
        return [view.run_id for view in search(settings, **how)]

    assert found(newest_first=False) == run_ids
    assert found(limit=9) == run_ids[::-1][:9]
    assert found(tags={"kind": "it's"}, newest_first=False) == run_ids[1::2]
    assert found(tagged="kind", newest_first=False) == found(newest_first=False)
    assert found(tagged="other") == []
    assert found(run_ids=run_ids[3:5], newest_first=False) == run_ids[3:5]
    assert found(prefix="0" * 30 + "1", newest_first=False) == run_ids[16:]
    assert found(status="RUNNING") == []


def test_a_run_is_read_from_the_tables_as_mlflows_client_reads_it(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [("loss", 2.0, 1, 5), ("loss", 1.0, 2, 6), ("odd", float("inf"), 2, 6), ("none", float("nan"), 2, 6)]
    one = RunRecord("one", "FINISHED", 3, 4, {"a": 1, "b": None}, points)
    two = RunRecord("two", "KILLED", 1, 2, {"c": "x"}, points[:1], parent_run_id=one.run_id)
    log_finished_runs(settings, [one, two])
    client = MlflowClient(settings.uri)
    experiment = client.get_experiment_by_name(settings.experiment).experiment_id
    model = client.create_logged_model(experiment, "net", source_run_id=one.run_id)
    client.log_outputs(one.run_id, [LoggedModelOutput(model.model_id, 2)])
    tables = list(search(settings))
    whole = run_with_id(settings, one.run_id)
    assert repr(whole) == repr(next(view for view in tables if view.run_id == one.run_id))
    monkeypatch.setattr(reading, "open_database", lambda uri: None)
    client_read = list(search(settings))
    assert repr(sorted_texts([run_with_id(settings, one.run_id)])) == repr(sorted_texts([whole]))
    assert repr(sorted_texts(tables)) == repr(sorted_texts(client_read))
    assert {view.model_ids for view in tables} == {(model.model_id,), ()}


def test_runs_of_a_local_store_are_read_without_mlflow(settings: StoreSettings, tmp_path: Path) -> None:
    log_finished_runs(
        settings, [RunRecord("run", "FINISHED", 1, 2, metrics=[("loss", 1.0, 1, 1)], texts={"a/b": "x"}, run_id=A)]
    )
    code = f"""
import sys
from pathlib import Path
from kexp.tracking import StoreSettings, fetch_artifact, find_run
from kexp.tracking.reading.histories import read_histories

store = StoreSettings({settings.uri!r}, {settings.experiment!r})
assert find_run(store, "latest") == find_run(store, "abc")
assert read_histories(store, [{A!r}]) == {{{A!r}: {{"loss": [(1, 1.0)]}}}}
assert fetch_artifact(store, {A!r}, "a/b", Path("got")) == Path("got", "b")  # as MLflow places it
assert Path("got", "b").read_text() == "x"
assert fetch_artifact(store, {A!r}, "a", Path("all")).joinpath("b").read_text() == "x"
sys.exit(int("mlflow" in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def sorted_texts(views: list[RunView]) -> list[RunView]:
    """Their mappings in one order, so that they compare as text: NaN is no equal of itself."""
    return [
        replace(view, **{name: dict(sorted(getattr(view, name).items())) for name in ("params", "metrics", "tags")})
        for view in views
    ]


@pytest.mark.parametrize("path", ["../../../mlflow.db", "/etc/passwd", "a/../../../../mlflow.db", "..", ""])
def test_artifact_outside_of_the_run_is_refused(path: str, settings: StoreSettings, tmp_path: Path) -> None:
    """MLflow itself reads it on a local store."""
    runs(settings, A)
    with pytest.raises(StoreError, match="no artifact path"):
        fetch_artifact(settings, A, path, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_missing_artifact_names_those_there(settings: StoreSettings, tmp_path: Path) -> None:
    log_finished_runs(settings, [RunRecord("run", "FINISHED", 1, 2, texts={"saved/model.h5": "x"}, run_id=A)])
    with pytest.raises(UnknownNameError, match=r"did you mean 'saved/model\.h5'"):
        fetch_artifact(settings, A, "saved/model.h", tmp_path / "got")
