"""A headless Chromium, driven by its own DevTools protocol: enough to open a page, point, drag, type and look."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websocket import create_connection

__all__ = ["Browser", "browser", "chromium"]


def chromium() -> str | None:
    """The browser's command, where there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Browser:
    """One page of it.

    Args:
        address: of the page's DevTools socket.
    """

    def __init__(self, address: str) -> None:
        self._socket = create_connection(address, timeout=60, suppress_origin=True)
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """A command of the protocol; events that come meanwhile are kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 60.0) -> Any:
        """Waits until an expression is true, or an element that is there; returns it, or true."""
        tried = (
            f"(() => {{ try {{ const v = {expression}; return v instanceof Node || v }} catch {{ return null }} }})()"
        )
        return until(lambda: self.js(tried), timeout_s)

    def place(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element, scrolled into view."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.js(f"{element}.scrollIntoView({{block: 'center'}})")
        left, top, width, height = self.js(
            f"(() => {{ const r = {element}.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] }})()"
        )
        return left, top, width, height

    def mouse(self, kind: str, x: float, y: float, button: str = "none") -> None:
        buttons = 1 if button == "left" and kind != "mouseReleased" else 0
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button=button,
            buttons=buttons,
            clickCount=int(button != "none"),
        )

    def move(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x, y)

    def click(self, x: float, y: float) -> None:
        self.drag((x, y), (x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        self.move(*start)
        self.mouse("mousePressed", *start, button="left")
        for step in range(1, steps + 1) if start != end else ():
            share = step / steps
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, button="left")
        self.mouse("mouseReleased", *end, button="left")

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def fetched(self) -> list[str]:
        """Addresses that the page asked for."""
        self.js("1")  # what has happened has been told by then
        sent = [
            each["params"]["request"]["url"] for each in self.events if each["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in sent if not address.startswith(("blob:", "data:"))]

    def complaints(self) -> list[Any]:
        """Errors of the page's scripts."""
        self.js("1")
        return [each["params"] for each in self.events if each["method"] == "Runtime.exceptionThrown"]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser(folder: Path, width: int = 1500, height: int = 1000) -> Iterator[Browser]:
    """A browser with an empty profile in a folder.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    command = chromium()
    if command is None:
        raise FileNotFoundError("a browser is needed: apt install chromium")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")
    own = (f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank")
    with subprocess.Popen([command, *flags, *own], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port_file = folder / "DevToolsActivePort"
            until(port_file.is_file, 60.0)
            port = until(lambda: port_file.read_text().split()[0], 10.0)
            with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                [page] = [each for each in json.load(answer) if each["type"] == "page"]
            found = Browser(page["webSocketDebuggerUrl"])
            try:
                yield found
            finally:
                found.close()
        finally:
            process.terminate()


def until(true: Callable[[], Any], timeout_s: float) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise TimeoutError("the page did not come to that")
