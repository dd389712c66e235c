"""MLflow's client: imports MLflow without its log output, creates clients, and converts MLflow's errors."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kexp.errors import KexpError, StoreError, first_line, without_passwords
from kexp.system.disk import disk_full_error, full_disk, is_disk_full
from kexp.system.passwords import restore_password
from kexp.system.quick_imports import without_collections
from kexp.system.quiet import set_defaults
from kexp.tracking.settings import database_file, is_remote
from kexp.tracking.store.concurrent import MAX_CONNECTIONS

if TYPE_CHECKING:
    from mlflow import MlflowClient

Made = TypeVar("Made")

__all__ = [
    "check_reachable",
    "client_for",
    "create_once",
    "is_server",
    "is_transient",
    "is_unanswered",
    "load_mlflow",
    "load_modules",
    "reason_of",
    "sql_store",
    "store_errors",
]

# Defaults for variables that the user has not set. Few attempts with short timeouts, because rows are safe on disk.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_POOL_MAXSIZE": str(2 * MAX_CONNECTIONS),  # half of them for uploads
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_TRANSIENT_CODES = {
    "TEMPORARILY_UNAVAILABLE",
    "INTERNAL_ERROR",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    # A token may have expired, which is no reason to refuse rows for good.
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "PERMISSION_DENIED",
}
_CONNECT_S = 5.0
_NOT_ALLOWED = {"401": "it refuses the user or the password (401)", "403": "it does not allow that to the user (403)"}
_clients: dict[str, MlflowClient] = {}
_lock = threading.RLock()


def load_mlflow() -> None:
    """Imports MLflow (2 to 3 s the first time) and silences its banners."""
    set_defaults(_ENVIRONMENT)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It logs a traceback each time that SQLite is locked. We try again, and report a lasting failure.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL + 1)
    with _lock, without_collections():
        import mlflow.tracking  # noqa: F401
    for name in ("mlflow", "alembic"):  # the import has reset their levels
        logging.getLogger(name).setLevel(logging.ERROR)


def load_modules(names: Iterable[str]) -> None:
    """Imports modules under a lock: two threads that import MLflow at the same time may see half-imported modules."""
    with _lock:
        load_mlflow()
        for name in names:
            with contextlib.suppress(Exception):  # the error is reported when the module is used
                importlib.import_module(name)


def client_for(uri: str) -> MlflowClient:
    """Returns the client of a store. It is cached by the address with its password, which may change."""
    load_mlflow()
    from mlflow import MlflowClient

    with _lock:
        address = restore_password(uri)
        if address not in _clients:
            registry = os.environ.get("MLFLOW_REGISTRY_URI") or address
            _clients[address] = MlflowClient(tracking_uri=address, registry_uri=registry)
        return _clients[address]


def sql_store(client: MlflowClient) -> Any | None:
    """Returns the database store of a client, or None if its store is no database."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    return store if type(store) is SqlAlchemyStore else None


def is_server(client: MlflowClient) -> bool:
    """Returns whether a client's store is a server, whose answer may be late or lost."""
    return hasattr(client._tracking_client.store, "get_host_creds")


def create_once(store: Any, endpoint: str, make: Callable[[Any], Made], find: Callable[[], Made | None]) -> Made:
    """Creates something exactly once, although the answer of a server may be lost.

    MLflow itself would repeat a request without an answer, and so create it twice.

    Args:
        store: MLflow's store of runs, or of registered models.
        endpoint: the server's endpoint below `/api/2.0/mlflow/`.
        make: creates the thing with the store that it gets.
        find: searches for the thing, after a request without an answer.

    Raises:
        Exception: the server gave no answer and created nothing, or the store refuses the request.
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
    """Returns a copy of a server's store that sends its requests to `path`, each once."""
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    def ask(api: Any, body: str) -> Any:
        response = http_request(store.get_host_creds(), path, "POST", max_retries=0, json=json.loads(body))
        answer = api.Response()
        parse_dict(verify_rest_response(response, path).json(), answer)
        return answer

    once = copy(store)
    once._call_endpoint = ask
    return once


def check_reachable(uri: str) -> None:
    """Checks that something answers at a server's address. MLflow itself takes 15 s to notice that nothing does.

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
    """Returns whether a second attempt may succeed, because the store is away, locked or overloaded."""
    code = getattr(error, "error_code", None)
    if code is None:
        locked = type(error).__module__ == "sqlalchemy.exc" and type(error).__name__ == "OperationalError"
        return locked or isinstance(error, OSError) or type(error).__module__.startswith(("requests", "urllib3"))
    # Two clients logged the same new data set at once; one of them gets this error of the server's database.
    raced = code == "BAD_REQUEST" and ("IntegrityError" in str(error) or "UniqueViolation" in str(error))
    return raced or code in _TRANSIENT_CODES


def is_unanswered(error: BaseException) -> bool:
    """Returns whether a server gave no complete answer. It may have executed the request."""
    text = str(error)
    return bool(re.search(r"failed with (timeout )?exception", text)) and "error responses" not in text


def reason_of(error: BaseException, patience_s: float | None = None, *, uri: str = "") -> str:
    """Returns the reason of a store's error in a few words.

    Args:
        error: the error.
        patience_s: the timeout of the request; MLflow's setting unless given.
        uri: the store's address, whose disk may be full; empty if it is not known.
    """
    if is_disk_full(error):  # the first line of SQLAlchemy's message does not say so
        here = not is_remote(uri) or getattr(error, "errno", None) is not None
        return full_disk(error, database_file(uri)) if here else f"the disk is full: that of {without_passwords(uri)}"
    text = str(error)
    place = "its artifacts cannot be written: " if "/mlflow-artifacts/" in text else ""
    return place + _reason(text, patience_s, first_line(error))


def _reason(text: str, patience_s: float | None, otherwise: str) -> str:
    """Returns why a request failed, from the text of the error; `otherwise` if no known reason is in it."""
    if "timed out" in text:
        return f"it did not answer within {patience_s or os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT']} s"
    unknown = re.search(r"endpoint '?(?:/api/2\.0/mlflow/)?([^\s']+)'? failed with error code (404|405)", text)
    if unknown:
        return f"it knows no {unknown[1]} ({unknown[2]}), and so is an older MLflow than kexp takes"
    status = re.search(r"error code (\d{3})|too many (\d{3}) error|\b([45]\d\d) (?:Client|Server) Error", text)
    if status:
        number = status[1] or status[2] or status[3]
        return _NOT_ALLOWED.get(number, f"it answers with status {number}")
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
    """Turns the errors of MLflow into one sentence.

    Args:
        uri: the store's address.
        doing: what the block does, for the message: "reading the run".

    Raises:
        StoreError: the block failed.
    """
    try:
        yield
    except KexpError:
        raise
    except Exception as error:
        if is_disk_full(error) and not is_remote(uri):
            raise disk_full_error(error, file=database_file(uri)) from error
        failed = StoreError(f"tracking.uri: {doing} failed at {without_passwords(uri)}: {reason_of(error)}")
        if any(reason in str(failed) for reason in _NOT_ALLOWED.values()):  # the user has to change something
            failed.exit_code = 2
        raise failed from error
