"""A server at a distance: a proxy that answers late, counts what it is asked, and fails as networks fail."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["Distant", "distant"]

PLAIN = [("Content-Type", "text/plain")]
WORDS = {  # as MLflow's own server says it
    401: (b"You are not authenticated.", [*PLAIN, ("WWW-Authenticate", 'Basic realm="mlflow"')]),
    403: (b"Permission denied", PLAIN),
}
Fault = Callable[[str, str], int | str | None]
"""(method, path) -> a status code to answer with, "hang", "cut" (the answer in its middle), or None for none."""


class Distant:
    """What a proxy has seen, and how it behaves from now on.

    Attributes:
        address: where the proxy listens.
        delay_s: how much later than the server it answers.
        fault: what goes wrong, request by request.
        requests: (method, endpoint) of each request so far.
        at_once: the most requests that were in progress at one time.
    """

    def __init__(self, address: str, delay_s: float) -> None:
        self.address, self.delay_s = address, delay_s
        self.fault: Fault = lambda method, path: None
        self.requests: list[tuple[str, str]] = []
        self.at_once = self._now = 0
        self._held = threading.Event()
        self._lock = threading.Lock()

    def counts(self) -> Counter[str]:
        """How often each endpoint was asked, as `POST runs/create`; of an upload, `PUT artifact config.yaml`."""
        return Counter(f"{method} {endpoint}" for method, endpoint in self.requests)

    def let_go(self) -> None:
        """Ends the connections that hang, unanswered."""
        self._held.set()
        self._held = threading.Event()

    @contextlib.contextmanager
    def _request(self, method: str, path: str) -> Iterator[None]:
        endpoint = re.sub(r"^/(ajax-)?api/2.0/mlflow/", "", urlsplit(path).path)
        endpoint = re.sub(
            r"^/api/2.0/mlflow-artifacts/artifacts/\d+/(models/)?[^/]+/artifacts/", r"artifact \1", endpoint
        )
        with self._lock:
            self.requests.append((method, endpoint))
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


@contextlib.contextmanager
def distant(server: str, delay_s: float = 0.2) -> Iterator[Distant]:
    """A proxy before the server at the address `server`, until the end of the block."""
    target = urlsplit(server)
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def forward(self) -> None:
            body = self.body()
            with seen._request(self.command, self.path):
                fault = seen.fault(self.command, self.path)
                ending.wait(seen.delay_s)
                if fault == "hang":
                    seen._held.wait(600)
                    self.close_connection = True
                elif fault == 404:  # as an older server answers what it does not know
                    self.path = "/api/2.0/mlflow/of-a-newer-server"
                    self.answer(*self.asked(body))
                elif isinstance(fault, int):
                    self.answer(fault, *WORDS.get(fault, (b"{}", [("Content-Type", "application/json")])))
                else:
                    self.answer(*self.asked(body), cut=fault == "cut")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815  http.server's names

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            del self.headers["Transfer-Encoding"]  # it goes on in one piece
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def asked(self, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
            try:
                with contextlib.closing(http.client.HTTPConnection(target.hostname or "", target.port)) as there:
                    headers = {**dict(self.headers), "Host": target.netloc}  # it serves no other name
                    there.request(self.command, self.path, body, headers)
                    answer = there.getresponse()
                    return answer.status, answer.read(), answer.getheaders()
            except OSError:
                return 502, b"", []

        def answer(self, status: int, content: bytes, headers: list[tuple[str, str]], cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = self.close_connection or cut

        def log_message(self, *args: object) -> None:
            pass

    class Proxy(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that gave up

    proxy = Proxy(("127.0.0.1", 0), Handler)
    seen = Distant(f"http://127.0.0.1:{proxy.server_port}", delay_s)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ending.set()
        seen.let_go()
        proxy.shutdown()
        proxy.server_close()
        thread.join()
