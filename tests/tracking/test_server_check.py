"""What stands at a server's address is said in one sentence, without the password, before anything is computed."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
from distant import distant
from servers import Server

from kexp.errors import ConfigError, KexpError, StoreError
from kexp.tracking import StoreSettings, prepare_store, resolve_uri
from kexp.tracking.store.client import client_for, store_errors
from kexp.tracking.store.server_check import experiment_on_server

SAID = {
    401: (ConfigError, "refuses the user or the password (401); set MLFLOW_TRACKING_USERNAME"),
    403: (ConfigError, "refuses the user or the password (403); set MLFLOW_TRACKING_USERNAME"),
    404: (ConfigError, "is no MLflow server"),
    302: (ConfigError, "is no MLflow server"),
    500: (StoreError, "answers with an error (500)"),
    503: (StoreError, "answers with an error (503)"),
    "cut": (StoreError, "cannot be used: connection broken"),
    "hang": (StoreError, "cannot be used: it did not answer within 0.2 s"),
}


@pytest.mark.parametrize("fault", SAID)
def test_a_server_that_does_not_serve_is_named_with_its_reason(
    server: Server, fault: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kexp.tracking.store.server_check._PATIENCE_S", 0.2)
    kind, reason = SAID[fault]
    with distant(server.address, delay_s=0) as far:
        far.fault = lambda method, path: fault
        address = far.address.replace("http://", "http://me:secret@")
        with pytest.raises(KexpError) as raised:
            prepare_store(StoreSettings(uri=address, experiment=f"none-{fault}"))
    said = str(raised.value)
    assert type(raised.value) is kind
    assert reason in said
    assert said.startswith("tracking.uri: the server at http://me:***@127.0.0.1:")
    assert "secret" not in said
    assert "\n" not in said


def test_a_server_that_speaks_without_tls_is_told_in_a_few_words(server: Server) -> None:
    address = server.address.replace("http://", "https://")
    with pytest.raises(StoreError, match=r"cannot be used: TLS fails \([\w: ]+\)$"):
        prepare_store(StoreSettings(uri=address))


USER, PASSWORDS = "me@home", ["simple", "c@rrect:h/rse ba%t?ery#&$'", "%41", "ö"]


class Asking:
    """A server that lets in whom its `login` names, as bytes of `user:password`.

    Attributes:
        address: where it listens.
        login: who may come in.
    """

    def __init__(self) -> None:
        asking, self.login = self, b""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, _, given = self.headers.get("Authorization", "").partition(" ")
                let_in = kind == "Basic" and base64.b64decode(given) == asking.login
                self.send_response(200 if let_in else 401)
                self.end_headers()
                told = json.dumps({"experiment": {"experiment_id": "7"}}) if let_in else "You are not authenticated."
                self.wfile.write(told.encode())

            def log_message(self, *args: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    running = Asking()
    thread = threading.Thread(target=running.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.http.shutdown()
    running.http.server_close()
    thread.join()


@pytest.mark.parametrize("by", ["MLflow", "itself"])
@pytest.mark.parametrize("given", ["in variables", "in the address"])
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_reaches_the_server_as_it_is_and_a_wrong_one_is_refused(
    by: str, given: str, password: str, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "itself":
        monkeypatch.setattr("kexp.tracking.store.plain_http._needs_mlflow", lambda: False)
        monkeypatch.delitem(sys.modules, "mlflow.tracking", raising=False)
    # In an address, letters outside of ASCII are sent as requests, which MLflow asks with, sends them.
    asking.login = f"{USER}:{password}".encode("utf-8" if given == "in variables" else "latin-1")
    address = asking.address
    if given == "in variables":
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    else:
        address = address.replace("://", f"://{quote(USER, safe='')}:{quote(password, safe='')}@")
    uri = resolve_uri(StoreSettings(uri=address))
    assert experiment_on_server(uri, "any") == {"experiment_id": "7"}
    asking.login = b"me@home:another"
    with pytest.raises(ConfigError, match=r"refuses the user or the password \(401\)") as raised:
        experiment_on_server(uri, "any")
    assert raised.value.exit_code == 2
    assert quote(password, safe="") not in str(raised.value)
    said = pytest.raises(StoreError, match=r"it refuses the user or the password \(401\)")
    with said as failed, store_errors(uri, "starting the run"):
        client_for(uri).get_experiment("7")
    assert failed.value.exit_code == 2


@pytest.mark.parametrize(
    "address",
    [
        "http://me:se/cret@host",
        "http://me:secret?@host",
        "http://me:secret#@host:5000",
        "http://host:port",
        "http://host:99999",
        "http://:5000",
        "https://",
        "http://[::1",
        "http://me:secr%C5%82et@host",
    ],
)
def test_an_address_that_names_no_server_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^tracking.uri: (must be the address of a server|holds a user)") as raised:
        resolve_uri(StoreSettings(uri=address))
    assert "secr" not in str(raised.value)
    assert "cret" not in str(raised.value)
