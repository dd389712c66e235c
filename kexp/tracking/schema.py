"""The tables of a SQLite store. MLflow makes them by years of migrations, in 2 to 4 s; we run those once a machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import uuid
from pathlib import Path

from kexp.tracking.settings import database_file

__all__ = ["create_or_migrate", "schema_state"]


def create_or_migrate(uri: str) -> None:
    """Gives a new SQLite file MLflow's tables, and an older one those of this MLflow; leaves other stores to MLflow.

    The caller holds the store's lock.
    """
    file = database_file(uri)
    if file is None:
        return
    if file.exists() and file.stat().st_size > 0:
        _migrate(uri)
    else:
        with contextlib.suppress(OSError, sqlite3.Error):  # without the copy MLflow makes the tables, only slower
            _copy_template(file)


def schema_state(uri: str) -> str:
    """How a database's tables stand to this MLflow: "current", "older", "newer", or "empty" where it has none."""
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(uri)
    try:
        version = utils._get_schema_version(engine)
    finally:
        engine.dispose()
    if version is None:
        return "empty"
    if version == utils._get_latest_schema_revision():
        return "current"
    known = ScriptDirectory.from_config(utils._get_alembic_config(uri)).walk_revisions()
    return "older" if version in {revision.revision for revision in known} else "newer"


def _migrate(uri: str) -> None:
    """MLflow itself refuses an older schema, and only creates one that is missing."""
    import sqlalchemy
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(uri)
    try:
        version = utils._get_schema_version(engine)
        if version is not None and version != utils._get_latest_schema_revision():
            utils._upgrade_db(engine)
    finally:
        engine.dispose()


def _copy_template(file: Path) -> None:
    """Copies an empty database, made by this MLflow's own migrations and kept in the user's cache."""
    import mlflow

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kexp"
    template = cache / f"mlflow-{mlflow.__version__}-empty.db"
    if not template.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _make_template(template)
    fresh = file.with_name(f".{file.name}.{uuid.uuid4().hex}.new")
    try:
        shutil.copyfile(template, fresh)
        os.replace(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)


def _make_template(template: Path) -> None:
    import sqlalchemy
    from mlflow.store.db import utils

    fresh = template.with_name(f".{template.name}.{uuid.uuid4().hex}.new")
    engine = sqlalchemy.create_engine(f"sqlite:///{fresh}")
    try:
        utils._initialize_tables(engine)
        engine.dispose()
        os.replace(fresh, template)
    finally:
        fresh.unlink(missing_ok=True)
