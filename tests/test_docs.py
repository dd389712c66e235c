"""Every command that the documentation shows is run, in the order of its page, in one folder a page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kexp.cli import main

ROOT = Path(__file__).parent.parent
# Pages of which every `sh` line is run. What installs or serves is tried by other tests, which are named.
ELSEWHERE = {
    "-m venv": "the continuous integration runs it",
    "kexp ui": "tests/commands/test_ui.py",
    "kexp plugin": "tests/plugins",
    "pip install": "tests/plugins",
    "kexp completion": "tests/commands",
}


def commands(page: Path) -> list[str]:
    """The lines of a page's `sh` blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/sweeps.md"])
def test_every_command_shown_works(page: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [line for line in commands(ROOT / page) if not any(part in line for part in ELSEWHERE)]
    assert shown
    for line in shown:
        words = shlex.split(line)
        assert words[0] == "kexp", line
        if "trainer=compiled" in words:  # on JAX, and this process has Keras on TensorFlow
            subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True, timeout=300)
            continue
        with pytest.raises(SystemExit) as end:
            main(words[1:])
        assert not end.value.code, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_every_python_block_runs(page: str, workplace: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).is_file(), f"{page.name}: {target}"
