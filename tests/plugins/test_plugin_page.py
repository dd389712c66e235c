"""Every command of docs/plugins.md, in the order of the page, in one folder."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from distributions import on_path

from kexp.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
# What tests/plugins/test_new.py runs, in a process of its own.
IN_ANOTHER_PROCESS = {"pip", "pytest"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_every_command_of_the_page_works(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in blocks("python"):
        if source.startswith("# my_parts.py"):
            (workplace / "my_parts.py").write_text(source)
    monkeypatch.syspath_prepend(str(workplace))
    with contextlib.ExitStack() as packages:
        for line in "".join(blocks("sh")).splitlines():
            words = shlex.split(line)
            if words[:3] == ["pip", "install", "-e"]:
                packages.enter_context(on_path(workplace / "site", workplace / words[3]))
            if words[0] in IN_ANOTHER_PROCESS:
                continue
            if words[1] == "show" and ":" in line:  # tries it on JAX, and the page's runs have Keras on TensorFlow
                subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
                continue
            with pytest.raises(SystemExit) as ended:
                main(words[1:])
            assert not ended.value.code, f"{line}\n{''.join(capsys.readouterr())}"


def test_the_page_names_every_group_and_every_rule() -> None:
    from kexp import rules
    from kexp.registry.groups import GROUPS

    text = PAGE.read_text()
    assert [group for group in GROUPS if f"`{group}`" not in text] == []
    assert [name for name in rules.__all__ if name[0].isupper() and not name.isupper() and name not in text] == []
