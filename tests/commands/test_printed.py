"""What is printed can be typed: each command in what kexp says does what is said of it, in a store of any name."""

from __future__ import annotations

import ast
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

import kexp
from kexp import cli
from kexp.commands.support.completions import COMMANDS
from kexp.errors import LoadError
from kexp.sweeps.stored_command import command_of
from kexp.tracking import StoreSettings, command_line, search
from kexp.tracking.settings import resolve_uri

SMALL = ["data=iris", "trainer.epochs=1", "save=none"]
STORE = 'tracking.uri="sqlite:///the store.db"'
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")


@dataclass(frozen=True)
class Said:
    """The end of a program: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    def commands(self) -> list[list[str]]:
        """The commands in it, split as a shell does."""
        lines = [line for line in (self.out + self.err).splitlines() if "kexp " in line]
        found = [re.search(rf"kexp (?:{'|'.join(COMMANDS)})\b[^`;)]*", line) for line in lines]
        return [shlex.split(each[0])[1:] for each in found if each]


def typed(*arguments: str) -> Said:
    """`kexp ARGUMENTS`, in this process."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit) as end:
        cli.main(arguments)
    return Said(int(end.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("a folder's")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        yield made


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Said:
    """A sweep in a store and an experiment of its own, by a name with spaces and quotation marks."""
    where = [STORE, 'tracking.experiment="it\'s other"', 'sweep.name="a \'first\' \\"one\\""']
    return typed("-m", *SMALL, *where, "optimizer=sgd,adam", "hydra/launcher=serial")


def test_the_lines_of_a_sweep_find_it(sweep: Said, folder: Path) -> None:
    assert sweep.code == 0, sweep.err
    (compare,) = [each for each in sweep.commands() if each[0] == "compare"]
    assert compare[1] == "a 'first' \"one\""
    again = typed(*compare)
    assert again.code == 0, again.err
    assert "2 trials, 2 choices" in again.out


def test_a_sweep_is_resumed_where_it_is(sweep: Said, folder: Path) -> None:
    store = StoreSettings("sqlite:///the store.db", "it's other")
    before = len(list(search(store)))
    line = command_line("resume", "a 'first' \"one\"", store=store, experiment=True)
    done = typed(*shlex.split(line)[1:], "trainer.verbose=1")
    assert done.code == 0, done.err
    assert "2 done already" in done.err
    assert len(list(search(store))) == before  # its own run goes on; there is no other
    assert not (folder / "mlflow.db").exists()


@pytest.mark.parametrize("flags", [["--uri", "{uri}", "--experiment", "it's other"],
                                   ["tracking.uri={uri}", "tracking.experiment=it's other"]])  # fmt: skip
def test_commands_take_the_store_as_flags_and_as_runs_do(sweep: Said, flags: list[str]) -> None:
    given = [each.format(uri="sqlite:///the store.db") for each in flags]
    assert "2 trials, 2 choices" in typed("compare", *given).out
    assert "2 trials, 2 choices" in typed("compare", given[0], *given[1:], "latest").out
    assert command_of("latest", uri="sqlite:///the store.db", experiment="it's other").arguments


def test_a_model_that_was_not_kept_is_made_by_what_is_said(sweep: Said) -> None:
    store = StoreSettings("sqlite:///the store.db", "it's other")
    trial = next(view for view in search(store) if view.parent_run_id)
    with pytest.raises(LoadError) as missing:
        kexp.load_model(trial.run_id, tracking_uri=store.uri)
    command = re.search("`kexp (reproduce [^`]*)`", str(missing.value))
    assert command is not None
    words = shlex.split(command[1])
    done = typed(*[each for each in words if each != "--save"])
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].startswith("equal")


def test_what_waits_is_delivered_by_what_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a space, as the notice of a run and as `kexp doctor` say it."""
    from kexp.tracking.delivery.outbox import Outbox
    from kexp.tracking.run.recorded_run import start_run

    waiting = folder / "outputs" / "that waits"
    settings = StoreSettings("sqlite:///the store.db")
    outbox = Outbox(waiting)
    outbox.make_folder()
    outbox.open(start_run(settings, "waits", {}, None))
    outbox.append({"tags": {"came": "late"}})
    outbox.close()
    said = typed("doctor", "--uri", "sqlite:///the store.db")
    (sync,) = [each for each in said.commands() if each[0] == "sync"]
    assert typed(*sync).code == 0
    assert next(search(settings, tags={"came": "late"})).name == "waits"


def test_the_page_is_of_the_store_that_the_run_is_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = typed(*SMALL, STORE)
    assert run.code == 0, run.err
    (page,) = [each for each in run.commands() if each[0] == "ui"]
    served: list[str] = []
    monkeypatch.setattr("kexp.tracking.server.serve", lambda settings, *_, **__: served.append(resolve_uri(settings)))
    assert typed(*page).code == 0
    assert served == [resolve_uri(StoreSettings("sqlite:///the store.db"))]


def test_mending_is_of_the_store_that_was_looked_at(folder: Path) -> None:
    from kexp.tracking.run.recorded_run import start_run

    settings = StoreSettings("sqlite:///the store.db")
    start_run(
        settings,
        "dead",
        {"kexp.pid": "999999999", "kexp.heartbeat": "1", "kexp.host": __import__("socket").gethostname()},
        None,
    )
    said = typed("doctor", "--uri", "sqlite:///the store.db")
    (fix,) = [each for each in said.commands() if each[0] == "doctor"]
    typed(*fix)
    assert next(view for view in search(settings) if view.name == "dead").status == "FAILED"


def test_a_new_plugin_is_installed_by_what_is_said(folder: Path) -> None:
    (folder / "my plugins").mkdir()
    said = typed("plugin", "new", "kexp-thing", "--directory", "my plugins")
    install = shlex.split(next(line for line in said.out.splitlines() if "pip install" in line))
    assert (Path(install[-1]) / "pyproject.toml").is_file()


@pytest.mark.parametrize("name", ["latest", "-x", ".hidden", "a/b", "a\nb", ""])
def test_a_sweep_has_a_name_that_can_be_typed(folder: Path, name: str) -> None:
    quoted = name.replace("\n", "\\n")
    refused = typed(
        "-m",
        *SMALL,
        "tracking=none",
        f'sweep.name="{quoted}"' if "\n" not in name else f"sweep.name='{name}'",
        "seed=1,2",
    )
    assert refused.code == 2
    assert "sweep.name" in refused.err


def test_no_sentence_has_a_command_on_a_store_but_by_the_one_that_names_it() -> None:
    """`command_line` names the store, and quotes; what is written by hand does neither."""
    on_a_store = "resume|compare|ui|sync|doctor|reproduce|evaluate|predict|export"
    written = []
    for file in Path(kexp.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documentation = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and node not in documentation else None
            if (
                isinstance(text, str)
                and re.search(rf"\bkexp ({on_a_store})\b(?! RUN)", text)
                and text != f"kexp {file.stem}"
            ):
                written.append(f"{file.name}: {text}")
    assert written == []
