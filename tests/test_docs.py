"""Everything that the documentation shows is tried, in the order of its page, in one folder a page."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kexp import __all__ as kexp_names
from kexp.cli import main
from kexp.commands import COMMANDS
from kexp.config import compose, plain
from kexp.registry import components
from kexp.registry.groups import GROUPS
from kexp.schema import SETTINGS

ROOT = Path(__file__).parent.parent
PAGES = [
    "docs/bring-your-data.md",
    "README.md",
    "docs/tutorial.md",
    "docs/guide.md",
    "docs/hydra.md",
    "docs/your-code.md",
    "docs/using-runs.md",
    "docs/serving.md",
    "docs/sweeps.md",
    "docs/tracking.md",
    "docs/index.md",
    "docs/coming-from-hydra.md",
    "docs/coming-from-kerastuner.md",
    "docs/coming-from-mlflow.md",
    "docs/coming-from-optuna.md",
]  # docs/plugins.md: tests/plugins
# Commands that something else tries.
ELSEWHERE = {
    "python3.11 -m venv": "the continuous integration, and whoever tries a clone: they install",
    "export MLFLOW_TRACKING_URI": "the same, by a shell",
    "mlflow models": "tests/serving/test_pyfunc.py and test_fresh_environment.py, with a server of their own",
    "curl": "the same",
    "kexp ui": "tests/commands/test_ui.py: it serves until it is ended",
    "kexp completion": "tests/commands/test_completion.py, in each of the shells",
    'eval "$(kexp completion': "the same",
}
LANGUAGES = {"{toctree}", "sh", "python", "yaml", "console", "text", "toml"}


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block of a page."""
    yield from re.findall(r"^```(\w*|\{toctree\})\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """A block's lines, those that a backslash goes on with as one."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.fixture(scope="module")
def made_pages() -> dict[str, str]:
    """The pages that docs/reference.py makes."""
    return runpy.run_path(str(ROOT / "docs" / "reference.py"))["pages"]()


def kexp(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code of a command, and all that it says."""
    words = shlex.split(line, comments=True)
    assert words[0] == "kexp", line
    tries = words[1:2] == ["show"] and ":" in line  # code of one's own, on JAX
    if tries or "trainer=compiled" in words:  # on JAX, and this process has Keras on TensorFlow
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
            elif "import mlflow" in text:  # it keeps a store by its address, which is relative here
                subprocess.run([sys.executable, "-c", text], check=True, capture_output=True)
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


def test_links_between_pages_lead_somewhere(made_pages: dict[str, str]) -> None:
    made = {ROOT / "docs" / "reference" / f"{name}.md" for name in made_pages}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#]+)\)", prose):
            there = page.parent / target
            assert target.startswith("https://") or there.is_file() or there in made, f"{page.name}: {target}"


def test_each_page_is_in_the_sites_contents() -> None:
    listed = set(re.findall(r"^[\w/-]+$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE))
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= listed


def test_messages_of_the_page_on_troubleshooting_are_said_by_kexp() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    code = "".join(file.read_text() for file in (ROOT / "kexp").rglob("*.py"))
    code = re.sub(r'"\n\s*f?"', "", code)  # a sentence in several literals
    messages = re.findall(r"^\*\*(.+)\*\*$", page, re.MULTILINE)
    assert len(messages) > 15
    assert [each for each in messages if each not in code] == []


def test_the_reference_names_each_command_setting_and_component(made_pages: dict[str, str]) -> None:
    whole = plain(compose([]))
    assert [name for name in COMMANDS if f"## kexp {name}\n" not in made_pages["commands"]] == []
    settings = [f"`{node}.{key}`" for node in SETTINGS for key in whole[node]]
    assert [each for each in settings if each not in made_pages["config"]] == []
    names = [name for group in GROUPS for name, each in components(group) if each.distribution == "kexp"]
    assert [name for name in names if f"`{name}`" not in made_pages["components"]] == []
    assert [name for name in set(kexp_names) - {"__version__"} if f"kexp.{name}\n" not in made_pages["python"]] == []
