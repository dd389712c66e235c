"""MLflow, imported once and quietly; and its errors as ours."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kexp.errors import KexpError, StoreError, first_line, without_passwords
from kexp.system.disk import disk_full_error, full_disk, is_disk_full
from kexp.system.passwords import restore_password
from kexp.system.quiet import set_defaults
from kexp.tracking.settings import database_file, is_remote
from kexp.tracking.store.side_by_side import AT_ONCE

if TYPE_CHECKING:
    from mlflow import MlflowClient

Made = TypeVar("Made")

__all__ = [
    "check_reachable",
    "client_for",
    "is_server",
    "is_transient",
    "is_unanswered",
    "load_mlflow",
    "make_once",
    "reason_of",
    "sql_store",
    "store_errors",
]

# Defaults only: what the user has set stays. A few quick attempts instead of MLflow's minutes: our rows wait on disk.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_POOL_MAXSIZE": str(2 * AT_ONCE),  # uploads besides
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_TRANSIENT_CODES = {
    "TEMPORARILY_UNAVAILABLE",
    "INTERNAL_ERROR",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    # A token may have expired, and what waits is not refused for that.
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "PERMISSION_DENIED",
}
_CONNECT_S = 5.0
_SAID_NO = {"401": "it refuses the user or the password (401)", "403": "it does not allow that to the user (403)"}
_clients: dict[str, MlflowClient] = {}
_lock = threading.RLock()


def load_mlflow() -> None:
    """Imports MLflow (2 to 3 s the first time) and silences its banners."""
    set_defaults(_ENVIRONMENT)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Logged as an exception with its traceback each time that SQLite is locked; we retry, and report what stays.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL + 1)
    with _lock:
        import mlflow.tracking  # noqa: F401
    for name in ("mlflow", "alembic"):  # importing sets its own level
        logging.getLogger(name).setLevel(logging.ERROR)


def client_for(uri: str) -> MlflowClient:
    """The client of a store; one in a process for each address with its password, which may change."""
    load_mlflow()
    from mlflow import MlflowClient

    with _lock:
        there = restore_password(uri)
        if there not in _clients:
            registry = os.environ.get("MLFLOW_REGISTRY_URI") or there
            _clients[there] = MlflowClient(tracking_uri=there, registry_uri=registry)
        return _clients[there]


def sql_store(client: MlflowClient) -> Any | None:
    """The database store behind a client; None where there is none."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    return store if type(store) is SqlAlchemyStore else None


def is_server(client: MlflowClient) -> bool:
    """Whether a client asks a server, whose answer may be late or lost; a database's is neither."""
    return hasattr(client._tracking_client.store, "get_host_creds")


def make_once(store: Any, endpoint: str, make: Callable[[Any], Made], find: Callable[[], Made | None]) -> Made:
    """Has a store make something that must not be made twice: MLflow itself asks a server again for a lost answer.

    Args:
        store: MLflow's access to runs, or to registered models.
        endpoint: where a server makes such a thing, a path below MLflow's own.
        make: makes it by the store that it is given.
        find: looks for what a server may have made that gave no answer.

    Raises:
        Exception: there was no answer and nothing was made, or the store refuses it.
    """
    if not hasattr(store, "get_host_creds"):  # a database
        return make(store)
    try:
        return make(_asking_once(store, f"/api/2.0/mlflow/{endpoint}"))
    except Exception as error:
        found = find() if is_transient(error) else None
        if found is None:
            raise
        return found


def _asking_once(store: Any, path: str) -> Any:
    """The same store, which sends each request to `path`, and does not repeat it."""
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    def ask(api: Any, body: str) -> Any:
        told = http_request(store.get_host_creds(), path, "POST", max_retries=0, json=json.loads(body))
        answer = api.Response()
        parse_dict(verify_rest_response(told, path).json(), answer)
        return answer

    once = copy(store)
    once._call_endpoint = ask
    return once


def check_reachable(uri: str) -> None:
    """Says at once when nothing answers at a server's address: MLflow itself takes 15 s to notice.

    Raises:
        StoreError: no connection could be made within 5 s.
    """
    if not is_remote(uri) or any(
        os.environ.get(name) for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
    ):
        return
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_S).close()
    except OSError as error:
        raise StoreError(
            f"tracking.uri: cannot reach the MLflow server at {without_passwords(uri)}: {first_line(error)}"
        ) from error


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help: the store is away, locked or overloaded, rather than refusing what it got."""
    code = getattr(error, "error_code", None)
    if code is None:
        locked = type(error).__module__ == "sqlalchemy.exc" and type(error).__name__ == "OperationalError"
        return locked or isinstance(error, OSError) or type(error).__module__.startswith(("requests", "urllib3"))
    # Two clients that bring a server the same new data set at once: one of them is told so, by the database's words.
    raced = code == "BAD_REQUEST" and ("IntegrityError" in str(error) or "UniqueViolation" in str(error))
    return raced or code in _TRANSIENT_CODES


def is_unanswered(error: BaseException) -> bool:
    """Whether a server gave no whole answer: it may have done what it was asked for."""
    text = str(error)
    return bool(re.search(r"failed with (timeout )?exception", text)) and "error responses" not in text


def reason_of(error: BaseException, patience_s: float | None = None, *, uri: str = "") -> str:
    """Why a store did not do what it was asked for, in a few words: what the network says takes a page.

    Args:
        error: what was raised.
        patience_s: how long an answer was waited for; MLflow's setting unless given.
        uri: the store's address; its disk may be the one that is full.
    """
    if is_disk_full(error):  # SQLAlchemy's first line is about something else
        here = not is_remote(uri) or getattr(error, "errno", None) is not None
        return full_disk(error, database_file(uri)) if here else f"the disk is full: that of {without_passwords(uri)}"
    text = str(error)
    place = "its artifacts cannot be written: " if "/mlflow-artifacts/" in text else ""
    return place + _reason(text, patience_s, first_line(error))


def _reason(text: str, patience_s: float | None, otherwise: str) -> str:
    if "timed out" in text:
        return f"it did not answer within {patience_s or os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT']} s"
    unknown = re.search(r"endpoint '?(?:/api/2\.0/mlflow/)?([^\s']+)'? failed with error code (404|405)", text)
    if unknown:
        return f"it knows no {unknown[1]} ({unknown[2]}), and so is an older MLflow than kexp takes"
    status = re.search(r"error code (\d{3})|too many (\d{3}) error|\b([45]\d\d) (?:Client|Server) Error", text)
    if status:
        number = status[1] or status[2] or status[3]
        return _SAID_NO.get(number, f"it answers with status {number}")
    tls = re.search(r"\[SSL: \w+\] (.+?)\.? \(_ssl", text)
    if tls:
        return f"TLS fails ({tls[1]})"
    broken = re.search(
        r"Connection refused|Name or service not known|Temporary failure in name resolution|Connection reset"
        r"|Connection aborted|Connection broken|Network is unreachable|No route to host",
        text,
    )
    return broken[0].lower() if broken else re.sub(r"^API request to \S+ failed with exception ", "", otherwise)


@contextlib.contextmanager
def store_errors(uri: str, doing: str) -> Iterator[None]:
    """Turns what MLflow raises into one sentence.

    Raises:
        StoreError: the store could not do it.
    """
    try:
        yield
    except KexpError:
        raise
    except Exception as error:
        if is_disk_full(error) and not is_remote(uri):
            raise disk_full_error(error, file=database_file(uri)) from error
        failed = StoreError(f"tracking.uri: {doing} failed at {without_passwords(uri)}: {reason_of(error)}")
        if any(said in str(failed) for said in _SAID_NO.values()):  # what was asked for is not allowed as it stands
            failed.exit_code = 2
        raise failed from error
