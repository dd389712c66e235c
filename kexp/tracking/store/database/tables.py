"""Opens a database with MLflow's tables for queries.

A SQLite file with the tables of the installed MLflow is read without importing MLflow, which takes a second. MLflow
opens any other database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from kexp.tracking.settings import database_file, is_remote
from kexp.tracking.store.client import client_for, sql_store
from kexp.tracking.store.database.schema import is_current

Value = TypeVar("Value")

__all__ = ["Database", "chunks", "open_database", "tables"]

_BUSY_S = 20.0  # how long a query waits for another process's lock; as in MLflow
_A_QUERY = 400  # values in one query, below every database's limit
_COLUMNS = {
    "experiments": "experiment_id name artifact_location lifecycle_stage",
    "experiment_tags": "experiment_id key value",
    "runs": "run_uuid name status start_time end_time lifecycle_stage artifact_uri experiment_id",
    "tags": "run_uuid key value",
    "params": "run_uuid key value",
    "metrics": "run_uuid key value step timestamp is_nan",
    "latest_metrics": "run_uuid key value is_nan",
    "inputs": "source_type source_id destination_type destination_id",
}


@dataclass(frozen=True)
class Database:
    """A database with MLflow's tables.

    Attributes:
        uri: its address.
        reading: opens a session of SQLAlchemy for queries.
    """

    uri: str
    reading: Callable[[], AbstractContextManager[Any]]


def open_database(uri: str) -> Database | None:
    """Opens the database of a store.

    Args:
        uri: a tracking URI, as `resolve_uri` gives it.

    Returns:
        The database, or None if the store is an MLflow server.

    Raises:
        MlflowException: MLflow refuses the database, for example because its tables are those of an older version.
    """
    if is_remote(uri):
        return None
    file = database_file(uri)
    if file is not None and is_current(file):
        return Database(uri, lambda: _read_sqlite(file))
    store = sql_store(client_for(uri))
    return None if store is None else Database(uri, lambda: store.ManagedSessionMaker(read_only=True))


@cache
def tables() -> SimpleNamespace:
    """Returns the tables by name, each with the columns that kexp reads."""
    from sqlalchemy import column, table

    return SimpleNamespace(
        **{name: table(name, *(column(each) for each in columns.split())) for name, columns in _COLUMNS.items()}
    )


def chunks(values: Sequence[Value], size: int | None = None) -> Iterator[Sequence[Value]]:
    """Yields the values in parts of `size`, or of what one query takes."""
    most = size or _A_QUERY
    for first in range(0, len(values), most):
        yield values[first : first + most]


@contextmanager
def _read_sqlite(file: Path) -> Iterator[Any]:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file, timeout=_BUSY_S)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()
