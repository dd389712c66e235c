"""An experiment and a run in a SQLite file, made without MLflow, whose import takes two seconds.

A sweep starts its trials meanwhile. The rows are those of MLflow's own store. Where the installed MLflow has other
columns, or a setting changes what it writes, nothing is written here and MLflow does it.
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

from kexp.tracking.store.database.schema import is_current, make_from_template

__all__ = ["experiment_in", "make_run", "mlflows_name"]

_COLUMNS = {
    "experiments": "experiment_id name artifact_location lifecycle_stage creation_time last_update_time workspace",
    "experiment_tags": "key value experiment_id",
    "runs": "run_uuid name source_type source_name entry_point_name user_id status start_time end_time source_version "
    "lifecycle_stage artifact_uri experiment_id deleted_time",
    "tags": "key value run_uuid",
}
# Settings with which MLflow fills these columns otherwise.
_OTHERWISE = ("MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE", "_MLFLOW_SERVER_ARTIFACT_ROOT")
_BUSY_S = 20.0  # as in MLflow


def experiment_in(file: Path, name: str, tags: Mapping[str, str], *, may_make: bool = True) -> str | None:
    """Finds an experiment, or makes it with MLflow's default place for artifacts, and the file where there is none.

    The caller holds the store's lock.

    Args:
        file: of the store.
        name: the experiment's.
        tags: its tags.
        may_make: whether it is made where it is missing.

    Returns:
        Its id; None where MLflow has to make it, or to say what is wrong with it: it is deleted, or has not all tags.
    """
    if not 0 < len(name) <= 250:
        return None
    if (not file.exists() or file.stat().st_size == 0) and not (may_make and make_from_template(file)):
        return None
    now, root = time.time_ns() // 1_000_000, Path.cwd() / "mlruns"
    with _writing(file) as database:
        if database is None:
            return None
        there = database.execute("SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?", (name,))
        found = there.fetchone()
        if found is not None:
            tagged = database.execute("SELECT key FROM experiment_tags WHERE experiment_id = ?", found[:1])
            known = tags.keys() <= {row[0] for row in tagged}
            return str(found[0]) if known and found[1] == "active" else None
        if not may_make:
            return None
        if not database.execute("SELECT 1 FROM experiments").fetchone():  # MLflow's page expects one of number 0
            _insert(database, "experiments", _experiment("Default", now) | {"experiment_id": 0})
            _locate(database, 0, root)
        made = _insert(database, "experiments", _experiment(name, now))
        _locate(database, made, root)
        for key, value in tags.items():
            _insert(database, "experiment_tags", {"key": key, "value": value, "experiment_id": made})
        return str(made)


def make_run(
    file: Path, experiment: str, *, name: str, start_ms: int, tags: Mapping[str, str]
) -> tuple[str, str] | None:
    """Makes a run that is RUNNING.

    Args:
        file: of the store.
        experiment: the experiment's id.
        name: the run's.
        start_ms: when it began, milliseconds since 1970.
        tags: its first tags.

    Returns:
        Its id and the address of its artifacts; None where MLflow has to make it.
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


def mlflows_name() -> str | None:
    """A name such as MLflow makes up for a run, by its own code; None where that is not found."""
    with suppress(Exception):
        package = importlib.util.find_spec("mlflow")
        assert package is not None and package.origin is not None
        file = Path(package.origin).parent / "utils" / "name_utils.py"
        spec = importlib.util.spec_from_file_location("_mlflows_names", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return str(module._generate_random_name())
    return None


@contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Opens one transaction, or gives None where the tables or the settings are not those known here."""
    if any(os.environ.get(name) for name in _OTHERWISE) or not is_current(file):
        yield None
        return
    with closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        known = all(_columns(database, table) == set(names.split()) for table, names in _COLUMNS.items())
        try:
            yield database if known else None
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def _experiment(name: str, now: int) -> dict[str, Any]:
    return {"name": name, "lifecycle_stage": "active", "creation_time": now, "last_update_time": now}


def _locate(database: sqlite3.Connection, experiment: int, root: Path) -> None:
    place = (root / str(experiment)).as_posix()
    database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (place, experiment))


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Returns the number of the row."""
    marks = ", ".join("?" * len(row))
    done = database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    return int(done.lastrowid or 0)
