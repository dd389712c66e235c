"""Everything that the documentation shows is tried, in the order of its page, in one folder a page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kexp.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [
    "docs/bring-your-data.md",
    "README.md",
    "docs/guide.md",
    "docs/hydra.md",
    "docs/your-code.md",
    "docs/using-runs.md",
    "docs/sweeps.md",
    "docs/coming-from-kerastuner.md",
]  # docs/plugins.md: tests/plugins
# Commands that something else tries.
ELSEWHERE = {
    "python3.11 -m venv": "the continuous integration, and whoever tries a clone: they install",
    "kexp ui": "tests/commands/test_ui.py: it serves until it is ended",
    "kexp completion": "tests/commands/test_completion.py, in each of the shells",
    'eval "$(kexp completion': "the same",
}
LANGUAGES = {"sh", "python", "yaml", "console", "text", "toml"}


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block of a page."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """A block's lines, those that a backslash goes on with as one."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def kexp(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code of a command, and all that it says."""
    words = shlex.split(line, comments=True)
    assert words[0] == "kexp", line
    if "trainer=compiled" in words:  # on JAX, and this process has Keras on TensorFlow
        ended = subprocess.run([sys.executable, "-m", *words], check=False, capture_output=True, text=True, timeout=300)
        return ended.returncode, ended.stdout + ended.stderr
    with pytest.raises(SystemExit) as end:
        main(words[1:])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out + said.err


@pytest.mark.parametrize("page", PAGES)
def test_everything_shown_works(
    page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(workplace))  # where `kexp` looks for modules, as for a user
    tried = 0
    for language, text in blocks(page):
        if language == "sh":
            for line in commands(text):
                if not line.startswith(tuple(ELSEWHERE)):
                    code, said = kexp(line, capsys)
                    assert code == 0, f"{line}\n{said}"
                    tried += 1
        elif language == "console":
            line, _, shown = text.removeprefix("$ ").partition("\n")
            assert kexp(line, capsys)[1] == shown
        elif language == "python":
            named = re.match(r"# (\w+\.py)\n", text)
            if named:
                (workplace / named.group(1)).write_text(text)
            else:
                exec(compile(text, page, "exec"), {})
        elif language == "yaml":
            file = workplace / re.search(r"^# (\S+\.yaml);?", text, re.MULTILINE).group(1)  # type: ignore[union-attr]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    assert tried


@pytest.mark.parametrize("page", [*PAGES, "docs/plugins.md", "CONTRIBUTING.md"])
def test_nothing_is_shown_that_is_not_tried(page: str) -> None:
    outside = re.sub(r"^```\w*\n.*?^```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert {language for language, _ in blocks(page)} <= LANGUAGES
    assert re.findall(r"^(?: {4}|\t|\$ ).*", outside, re.MULTILINE) == []  # other forms of a block


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).is_file(), f"{page.name}: {target}"
