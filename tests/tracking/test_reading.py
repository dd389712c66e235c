"""Runs are found as people name them, and nothing is read from outside of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.tracking import RunRecord, StoreSettings, fetch_artifact, find_run, log_finished_runs, reading, search


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


def test_search_pages_through_all(settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_ids = [f"{index:032x}" for index in range(25)]
    runs(settings, *run_ids)
    monkeypatch.setattr(reading, "_PAGE", 4)
    assert [view.run_id for view in search(settings, newest_first=False)] == run_ids
    assert [view.run_id for view in search(settings, limit=9)] == run_ids[::-1][:9]
    assert [view.run_id for view in search(settings, tags={"kind": "it's"}, newest_first=False)] == run_ids[1::2]
    assert list(search(settings, status="RUNNING")) == []


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
