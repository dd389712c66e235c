"""Creates the tables of a SQLite store from a template.

MLflow takes 2 to 4 s to create its tables. kexp lets it do so once, keeps the empty database in the user's cache, and
copies that for each new store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from kexp.system.disk import disk_full_error, is_disk_full, needing
from kexp.system.folders import cache_folder
from kexp.system.passwords import restore_password
from kexp.tracking.settings import database_file

__all__ = ["create_from_template", "create_or_migrate", "is_current", "schema_state"]


def create_or_migrate(uri: str) -> None:
    """Creates MLflow's tables in a new SQLite file, or migrates older ones. Other stores are left to MLflow.

    The caller holds the store's lock.
    """
    file = database_file(uri)
    if file is None:
        return
    if not file.exists() or file.stat().st_size == 0:
        _make_store(file, _template())
    elif not is_current(file):
        _migrate(uri)


def create_from_template(file: Path) -> bool:
    """Creates a SQLite file with MLflow's tables from the template in the user's cache, without importing MLflow.

    The caller holds the store's lock.

    Returns:
        Whether there is a template; if not, no file is created.

    Raises:
        DiskFullError: the disk has no room for the file.
    """
    template = _template_file()
    if not template.is_file():
        return False
    _make_store(file, template)
    return True


def is_current(file: Path) -> bool:
    """Returns whether a SQLite file surely has the tables of the installed MLflow. Does not import MLflow."""
    template = _template_file()
    return template.is_file() and _version_of(file) == _version_of(template) is not None


def _version_of(file: Path) -> str | None:
    """Returns the version of a SQLite file's tables, or None if it has none or cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])


def schema_state(uri: str) -> str:
    """Returns how the tables of a database relate to the installed MLflow: "current", "older", "newer" or "empty"."""
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(restore_password(uri))
    try:
        version = utils._get_schema_version(engine)
    finally:
        engine.dispose()
    if version is None:
        return "empty"
    if version == utils._get_latest_schema_revision():
        return "current"
    revisions = ScriptDirectory.from_config(utils._get_alembic_config(restore_password(uri))).walk_revisions()
    return "older" if version in {revision.revision for revision in revisions} else "newer"


def _migrate(uri: str) -> None:
    """Migrates older tables, which MLflow itself refuses."""
    import sqlalchemy
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(uri)
    try:
        version = utils._get_schema_version(engine)
        if version is not None and version != utils._get_latest_schema_revision():
            utils._upgrade_db(engine)
    finally:
        engine.dispose()


def _make_store(file: Path, template: Path | None) -> None:
    """Creates an empty database: a copy of the template, or by migrations if there is none.

    Raises:
        DiskFullError: the disk has no room for the file.
    """
    try:
        with _whole_database(file) as fresh:
            if template is None:
                _make_tables(fresh)
            else:
                with needing(template.stat().st_size):
                    shutil.copyfile(template, fresh)
    except Exception as error:
        if is_disk_full(error):
            raise disk_full_error(error, file=file) from error
        raise


def _template() -> Path | None:
    """Returns an empty database in the user's cache, created if missing; None if the cache cannot be written."""
    template = _template_file()
    try:
        if not template.is_file():
            template.parent.mkdir(parents=True, exist_ok=True)
            with _whole_database(template) as fresh:
                _make_tables(fresh)
    except Exception:  # a full or read-only disk; the store itself may be elsewhere
        return None
    return template


@contextlib.contextmanager
def _whole_database(file: Path) -> Iterator[Path]:
    """Yields a temporary path beside `file`, and moves the database there after the block.

    A full disk leaves no incomplete file. Several processes may create the same file, so each has its own path.
    """
    fresh = file.with_name(f".{file.name}.{uuid.uuid4().hex}.new")
    try:
        yield fresh
        os.replace(fresh, file)
    finally:
        for each in (fresh, fresh.with_name(f"{fresh.name}-journal")):
            each.unlink(missing_ok=True)


def _template_file() -> Path:
    return cache_folder() / f"mlflow-{metadata.version('mlflow')}-empty.db"


def _make_tables(file: Path) -> None:
    import sqlalchemy
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    try:
        utils._initialize_tables(engine)
    finally:
        engine.dispose()
