"""A store that cannot be used is told at once; one that can is made once, whoever comes first."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kexp.errors import StoreError, without_passwords
from kexp.tracking import StoreSettings, open_run, prepare_store, resolve_uri

HEAVY = {"mlflow", "numpy", "pandas", "matplotlib", "keras", "tensorflow", "jax", "sklearn", "sqlalchemy"}


def test_importing_tracking_imports_nothing_heavy() -> None:
    program = f"import sys, kexp.tracking; print(sorted({HEAVY!r} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", ["/proc/none", "FILE/none"])
def test_unwritable_folder_is_told_at_once(folder: str, tmp_path: Path) -> None:
    """MLflow itself takes 101 s."""
    (tmp_path / "FILE").write_text("not a folder")
    settings = StoreSettings(uri=f"sqlite:///{tmp_path / folder if folder[0] != '/' else folder}/mlflow.db")
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"tracking\.uri: cannot write to"):
        open_run(settings, name=None, folder=tmp_path / "run")
    assert time.monotonic() - began < 5


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database, " * 100)
    with pytest.raises(StoreError, match=r"tracking\.uri: opening the store failed"):
        prepare_store(StoreSettings(uri=f"sqlite:///{tmp_path / 'mlflow.db'}"))


def test_server_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nothing answers, and nobody else can take the port
        settings = StoreSettings(uri=f"http://127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"tracking\.uri: cannot reach the MLflow server"):
            open_run(settings, name=None, folder=tmp_path / "run")
        assert time.monotonic() - began < 6
    assert not (tmp_path / "run").exists()


def test_processes_that_start_together_make_one_store(tmp_path: Path) -> None:
    """With an empty cache, so that both would run MLflow's migrations."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    program = f"from kexp.tracking import *; print(prepare_store(StoreSettings(uri={uri!r})))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in started]
    assert [result[1] for result in results] == ["", ""]
    assert len({result[0] for result in results}) == 1
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from experiments where name = 'kexp'").fetchone() == (1,)


def test_deleted_experiment_is_told(settings: StoreSettings, tmp_path: Path) -> None:
    from kexp.tracking.store.client import client_for

    prepare_store(replace(settings, experiment="other"))
    client = client_for(settings.uri or "")
    client.delete_experiment(client.create_experiment(settings.experiment))
    with pytest.raises(StoreError, match=r"tracking\.experiment: 'kexp' was deleted"):
        prepare_store(settings)


def test_copied_tables_are_those_that_mlflow_makes(settings: StoreSettings, tmp_path: Path) -> None:
    from kexp.tracking.store.client import client_for

    prepare_store(settings)
    client_for(f"sqlite:///{tmp_path / 'theirs.db'}").search_experiments()

    def tables(file: str) -> list[tuple[object, ...]]:
        """Columns, indices and schema version; the texts of MLflow's own constraints differ from run to run."""
        with sqlite3.connect(tmp_path / file) as database:
            names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
            found: list[tuple[object, ...]] = list(database.execute("select name from sqlite_master order by name"))
            found += list(database.execute("select version_num from alembic_version"))
            for name in sorted(names):
                found += [(name, *column) for column in database.execute(f"pragma table_info({name})")]
            return found

    assert tables("mlflow.db") == tables("theirs.db")


def test_uri_comes_from_settings_then_environment_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_uri(StoreSettings()) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example:5000")
    assert resolve_uri(StoreSettings()) == "http://example:5000"
    assert resolve_uri(StoreSettings(uri="sqlite:///a/b.db")) == f"sqlite:///{tmp_path}/a/b.db"


def test_password_is_not_shown() -> None:
    shown = without_passwords("postgresql://me:secret@host:5432/mlflow")
    assert shown == "postgresql://me:***@host:5432/mlflow"
