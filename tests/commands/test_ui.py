from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from finished_runs import Finished, Kexp


def test_ui_says_its_address_once_it_answers_and_ends_at_ctrl_c(there: Finished) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "kexp", "ui", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=there.folder)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        address = re.search(r"http://\S+", said)
        assert address is not None, said
        with urllib.request.urlopen(address.group(), timeout=20) as page:
            assert b"MLflow" in page.read()
    finally:
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_ui_refuses_a_port_that_is_taken(
    there: Finished, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert kexp_command("ui", "--port", taken.getsockname()[1]) == 2
    assert "something else listens there" in capsys.readouterr().err
