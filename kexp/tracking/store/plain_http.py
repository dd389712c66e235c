"""Sends requests to an MLflow server without importing MLflow, because the import takes longer than most answers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from kexp.system.passwords import restore_password
from kexp.tracking.settings import is_remote

__all__ = ["request_without_mlflow"]

# Variables and files with settings that only MLflow, or its HTTP library, can apply.
_VARIABLES = frozenset(
    "MLFLOW_TRACKING_AUTH MLFLOW_TRACKING_AWS_SIGV4 MLFLOW_TRACKING_CLIENT_CERT_PATH MLFLOW_TRACKING_INSECURE_TLS "
    "MLFLOW_TRACKING_SERVER_CERT_PATH MLFLOW_WORKSPACE NETRC "
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy".split()
)
_FILES = ("~/.mlflow/credentials", "~/.netrc")
_idle: dict[str, list[HTTPConnection]] = {}


def request_without_mlflow(
    uri: str, method: str, endpoint: str, content: Mapping[str, Any], timeout_s: float = 10.0
) -> dict[str, Any] | None:
    """Sends a request that may be repeated.

    Args:
        uri: the server's address.
        method: GET or POST.
        endpoint: the endpoint below `/api/2.0/mlflow/`, for example `runs/search`.
        content: the parameters of a GET request, or the JSON of a POST request.
        timeout_s: the longest time to wait for an answer.

    Returns:
        The answer. None if MLflow has to send the request instead: it is already imported, it has settings that only it
        can apply, or there was no valid answer, so that it reports the error.
    """
    if not is_remote(uri) or "mlflow.tracking" in sys.modules or _needs_mlflow():
        return None
    address = urlsplit(restore_password(uri))
    path = f"{address.path.rstrip('/')}/api/2.0/mlflow/{endpoint}"
    body = json.dumps(content) if method == "POST" else None
    idle = _idle.setdefault(uri, [])
    try:
        connection = idle.pop() if idle else _connection(address, timeout_s)
        with contextlib.ExitStack() as closing:
            closing.callback(connection.close)
            connection.request(method, path if body else f"{path}?{urlencode(content)}", body, _headers(address))
            answer = connection.getresponse()
            received = json.loads(answer.read()) if answer.status == 200 else None
            if not answer.will_close and answer.isclosed():
                closing.pop_all()
                idle.append(connection)
    except (OSError, HTTPException, ValueError):
        return None
    return received if isinstance(received, dict) else None


def _needs_mlflow() -> bool:
    """Returns whether there are settings that only MLflow, or its HTTP library, can apply."""
    return bool(
        _VARIABLES & {name for name, value in os.environ.items() if value}
        or any(Path(file).expanduser().exists() for file in _FILES)
        or _adds_headers()
    )


@cache
def _adds_headers() -> bool:
    """Returns whether an installed package adds headers to MLflow's requests."""
    return bool(entry_points(group="mlflow.request_header_provider"))


def _connection(address: SplitResult, timeout_s: float) -> HTTPConnection:
    host = address.hostname or ""
    if address.scheme == "http":
        return HTTPConnection(host, address.port, timeout=timeout_s)
    import ssl

    trusted = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
    return HTTPSConnection(host, address.port, timeout=timeout_s, context=ssl.create_default_context(cafile=trusted))


def _headers(address: SplitResult) -> dict[str, str]:
    """Returns the headers. As in MLflow, a password in the address comes before MLflow's variables, in Latin-1."""
    user, password, encoding = address.username, address.password, "latin-1"
    if user is None and password is None:
        user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
        encoding = "utf-8"
        if not (user and password):
            token = os.environ.get("MLFLOW_TRACKING_TOKEN")
            return {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    else:
        user, password = unquote(user or ""), unquote(password or "")
    login = base64.b64encode(f"{user}:{password}".encode(encoding)).decode()
    return {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
