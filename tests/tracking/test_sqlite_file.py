"""An experiment and a run that are made without MLflow are those that MLflow makes."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from kexp.tracking import StoreSettings, prepare_store
from kexp.tracking.store.client import client_for
from kexp.tracking.store.database.schema import create_or_migrate
from kexp.tracking.store.database.sqlite_file import create_run_in_file, find_or_create_experiment, generate_run_name

KIND = {"mlflow.experimentKind": "custom_model_development"}
TAGS = {"mlflow.user": "ada", "note": "größer\nals " + "9" * 9000, "empty": ""}
TABLES = ("experiments", "experiment_tags", "runs", "tags", "params", "metrics", "latest_metrics", "inputs")
TIMES = ("creation_time", "last_update_time")


@pytest.fixture
def mlflows(workplace: Path) -> MlflowClient:
    """A store that MLflow has made itself; after it the empty tables are in the user's cache."""
    uri = f"sqlite:///{workplace / 'mlflows.db'}"
    create_or_migrate(uri)
    return client_for(uri)


@pytest.fixture
def ours(mlflows: MlflowClient, workplace: Path) -> Path:
    """A file that is not there yet."""
    return workplace / "ours.db"


def rows(file: Path) -> dict[str, list[dict[str, Any]]]:
    """What is in a store, without the times of experiments and the ids of runs."""
    found = {}
    with closing(sqlite3.connect(file)) as database:
        database.row_factory = sqlite3.Row
        for table in TABLES:
            made = [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
            for row in made:
                run_id = row.pop("run_uuid", "")
                if "artifact_uri" in row:
                    row["artifact_uri"] = row["artifact_uri"].replace(run_id, "RUN")
                assert all(row.pop(time) > 1.7e12 for time in TIMES if time in row)
            found[table] = sorted(made, key=repr)
    return found


@pytest.mark.parametrize("tags", [KIND, {}])
def test_rows_are_mlflows_own(mlflows: MlflowClient, ours: Path, workplace: Path, tags: dict[str, str]) -> None:
    for name in ("kexp", "a second one"):
        theirs = mlflows.create_experiment(name, tags=tags)
        assert find_or_create_experiment(ours, name, tags) == theirs
        for run_tags in (TAGS, {}):
            mlflows.create_run(theirs, 1_700_000_000_000, run_tags, run_name="best of all")
            assert create_run_in_file(ours, theirs, name="best of all", start_ms=1_700_000_000_000, tags=run_tags)
    assert rows(ours) == rows(workplace / "mlflows.db")


def test_mlflow_goes_on_with_a_run(ours: Path, workplace: Path) -> None:
    experiment = find_or_create_experiment(ours, "kexp", KIND)
    made = create_run_in_file(ours, str(experiment), name="one", start_ms=1_700_000_000_000, tags=TAGS)
    assert made is not None
    client = client_for(f"sqlite:///{ours}")
    client.log_metric(made[0], "loss", 0.5)
    client.log_text(made[0], "text", "a/b.txt")
    client.set_terminated(made[0])
    run = client.get_run(made[0])
    assert (run.info.status, run.info.run_name, run.data.metrics) == ("FINISHED", "one", {"loss": 0.5})
    assert run.info.artifact_uri == made[1] and (Path(made[1]) / "a/b.txt").read_text() == "text"
    assert Path(made[1]).is_relative_to(workplace / "mlruns")


def test_what_is_there_is_found_and_what_is_unclear_left_to_mlflow(ours: Path) -> None:
    assert find_or_create_experiment(ours, "kexp", KIND) == "1"
    before = rows(ours)
    assert find_or_create_experiment(ours, "kexp", KIND) == "1"
    assert find_or_create_experiment(ours, "kexp", {"another": "tag"}) is None
    assert rows(ours) == before
    client_for(f"sqlite:///{ours}").delete_experiment("1")
    assert find_or_create_experiment(ours, "kexp", KIND) is None
    assert find_or_create_experiment(ours, "", KIND) is None
    assert create_run_in_file(ours, "7", name="one", start_ms=1, tags={}) is None
    assert create_run_in_file(ours, "1", name="one", start_ms=1, tags={"mlflow.runName": "two"}) is None
    assert rows(ours)["runs"] == before["runs"] == []


@pytest.mark.parametrize("table", ["experiments", "experiment_tags", "runs", "tags"])
def test_other_columns_are_left_to_mlflow(ours: Path, table: str) -> None:
    """As those of a later MLflow may be."""
    assert find_or_create_experiment(ours, "kexp", {})
    with closing(sqlite3.connect(ours)) as database:
        database.execute(f"ALTER TABLE {table} ADD COLUMN later TEXT")
    before = rows(ours)
    assert find_or_create_experiment(ours, "another", KIND) is None
    assert create_run_in_file(ours, "1", name="one", start_ms=1, tags={}) is None
    assert rows(ours) == before


def test_workspaces_are_left_to_mlflow(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_or_create_experiment(ours, "kexp", {})
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert find_or_create_experiment(ours, "another", {}) is None
    assert create_run_in_file(ours, "1", name="one", start_ms=1, tags={}) is None


def test_place_of_artifacts_is_left_to_mlflow(ours: Path, workplace: Path) -> None:
    settings = StoreSettings(uri=f"sqlite:///{ours}", artifact_location=str(workplace / "elsewhere"))
    experiment = client_for(f"sqlite:///{ours}").get_experiment(prepare_store(settings))
    assert experiment.artifact_location == str(workplace / "elsewhere")


def test_nothing_is_written_by_half(ours: Path) -> None:
    experiment = find_or_create_experiment(ours, "kexp", {})
    before = rows(ours)
    with pytest.raises(sqlite3.Error):
        create_run_in_file(ours, str(experiment), name="one", start_ms=1, tags={"a": "b", "c": object()})  # type: ignore[dict-item]
    assert rows(ours) == before


def test_made_up_names_are_mlflows() -> None:
    from mlflow.utils.name_utils import _generate_random_name

    random.seed(3)
    ours = [generate_run_name() for _ in range(20)]
    random.seed(3)
    assert ours == [_generate_random_name() for _ in range(20)]
