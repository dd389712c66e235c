"""Creates experiments and runs in a SQLite file without importing MLflow, because the import takes two seconds.

A sweep can start its trials in that time. The rows equal those that MLflow's own store writes. If the installed MLflow
has other columns, or a setting changes what it writes, the functions write nothing and return None, and the caller uses
MLflow's client.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from kexp.tracking.store.database.schema import create_from_template, is_current

__all__ = ["create_run_in_file", "find_or_create_experiment", "generate_run_name"]

_COLUMNS = {
    "experiments": "experiment_id name artifact_location lifecycle_stage creation_time last_update_time workspace",
    "experiment_tags": "key value experiment_id",
    "runs": "run_uuid name source_type source_name entry_point_name user_id status start_time end_time source_version "
    "lifecycle_stage artifact_uri experiment_id deleted_time",
    "tags": "key value run_uuid",
}
# Environment variables that change what MLflow writes into these columns.
_VARIABLES = ("MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE", "_MLFLOW_SERVER_ARTIFACT_ROOT")
_BUSY_S = 20.0  # how long to wait for another process's lock; as in MLflow


def find_or_create_experiment(file: Path, name: str, tags: Mapping[str, str], *, create: bool = True) -> str | None:
    """Finds an experiment, or creates it with MLflow's default artifact location. Creates the file if it is missing.

    The caller holds the store's lock.

    Args:
        file: the SQLite file of the store.
        name: the experiment's name.
        tags: the experiment's tags.
        create: whether to create a missing experiment or file.

    Returns:
        The experiment's id. None if MLflow has to create it or to report an error: it is deleted, or lacks a tag.
    """
    if not 0 < len(name) <= 250:
        return None
    if (not file.exists() or file.stat().st_size == 0) and not (create and create_from_template(file)):
        return None
    now, root = time.time_ns() // 1_000_000, Path.cwd() / "mlruns"
    with _writing(file) as database:
        if database is None:
            return None
        rows = database.execute("SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?", (name,))
        found = rows.fetchone()
        if found is not None:
            tagged = database.execute("SELECT key FROM experiment_tags WHERE experiment_id = ?", found[:1])
            has_tags = tags.keys() <= {row[0] for row in tagged}
            return str(found[0]) if has_tags and found[1] == "active" else None
        if not create:
            return None
        if not database.execute("SELECT 1 FROM experiments").fetchone():  # MLflow's page expects experiment 0
            _insert(database, "experiments", _experiment("Default", now) | {"experiment_id": 0})
            _set_artifact_location(database, 0, root)
        made = _insert(database, "experiments", _experiment(name, now))
        _set_artifact_location(database, made, root)
        for key, value in tags.items():
            _insert(database, "experiment_tags", {"key": key, "value": value, "experiment_id": made})
        return str(made)


def create_run_in_file(
    file: Path, experiment: str, *, name: str, start_ms: int, tags: Mapping[str, str]
) -> tuple[str, str] | None:
    """Creates a run with the status RUNNING.

    Args:
        file: the SQLite file of the store.
        experiment: the experiment's id.
        name: the run's name.
        start_ms: start time, milliseconds since 1970.
        tags: the run's first tags.

    Returns:
        The run's id and the URI of its artifacts. None if MLflow has to create the run.
    """
    with _writing(file) as database:
        if database is None:
            return None
        found = database.execute("SELECT artifact_location FROM experiments WHERE experiment_id = ?", (experiment,))
        (root,) = found.fetchone() or (None,)
        if not root or "?" in root or "#" in root or tags.get("mlflow.runName", name) != name:
            return None
        run_id = uuid.uuid4().hex
        row = {
            "run_uuid": run_id,
            "name": name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "source_version": "",
            "user_id": tags.get("mlflow.user", "unknown"),
            "status": "RUNNING",
            "start_time": start_ms,
            "lifecycle_stage": "active",
            "artifact_uri": f"{root.rstrip('/')}/{run_id}/artifacts",
            "experiment_id": int(experiment),
        }
        _insert(database, "runs", row)
        for key, value in {**tags, "mlflow.runName": name}.items():
            _insert(database, "tags", {"key": key, "value": value, "run_uuid": run_id})
        return run_id, str(row["artifact_uri"])


def generate_run_name() -> str | None:
    """Returns a random run name from MLflow's own generator, which is loaded alone. None if MLflow no longer has it."""
    with suppress(Exception):
        package = importlib.util.find_spec("mlflow")
        assert package is not None and package.origin is not None
        file = Path(package.origin).parent / "utils" / "name_utils.py"
        spec = importlib.util.spec_from_file_location("_mlflow_name_utils", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return str(module._generate_random_name())
    return None


@contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Opens a transaction. Yields None if this module does not know the file's tables, or a setting changes them."""
    if any(os.environ.get(name) for name in _VARIABLES) or not is_current(file):
        yield None
        return
    with closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        is_known = all(_columns(database, table) == set(names.split()) for table, names in _COLUMNS.items())
        try:
            yield database if is_known else None
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def _experiment(name: str, now: int) -> dict[str, Any]:
    return {"name": name, "lifecycle_stage": "active", "creation_time": now, "last_update_time": now}


def _set_artifact_location(database: sqlite3.Connection, experiment: int, root: Path) -> None:
    place = (root / str(experiment)).as_posix()
    database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (place, experiment))


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Inserts a row. Returns its row id."""
    marks = ", ".join("?" * len(row))
    done = database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    return int(done.lastrowid or 0)
