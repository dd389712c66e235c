from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from finished_runs import Finished, Kexp

from kexp.commands.support.completions import candidates
from kexp.tracking import RunRecord, StoreSettings, log_finished_runs, resolve_uri
from kexp.tracking.store.client import client_for

PROGRAM = Path(sys.executable).with_name("kexp")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kexp eval", {"evaluate"}),
        ("kexp optimizer=adag", {"optimizer=adagrad"}),
        ("python -m kexp optimizer=sgd_", {"optimizer=sgd_nesterov"}),
        ("kexp optimizer.beta", {"optimizer.beta_1=", "optimizer.beta_2="}),
        ("kexp optimizer=sgd optimizer.nest", {"optimizer.nesterov="}),
        ("kexp optimizer=sgd optimizer.nesterov=", {"optimizer.nesterov=true", "optimizer.nesterov=false"}),
        ("kexp -m optimizer=adam,adag", {"optimizer=adam,adagrad"}),
        ("kexp 'metrics=[accuracy,top_k_c", {"'metrics=[accuracy,top_k_categorical_accuracy"}),
        ("kexp metrics=[top_k_categorical_accuracy] metrics.", {"metrics.top_k_categorical_accuracy."}),
        ("kexp trainer.batch", {"trainer.batch_size="}),
        ("kexp trainer.shuffle=", {"trainer.shuffle=true", "trainer.shuffle=false"}),
        ("kexp backend=j", {"backend=jax"}),
        ("kexp data.feed=", {"data.feed=numpy", "data.feed=tfdata"}),
        ("kexp schedule=cosine_decay optimizer.schedule.al", {"optimizer.schedule.alpha="}),
        ("kexp components opt", {"optimizer"}),
        ("kexp show optimizer nad", {"nadam"}),
        ("kexp evaluate latest --form", {"--format"}),
        ("kexp evaluate latest --format saved", {"saved_model"}),
        ("kexp evaluate --part test lat", {"latest"}),
        ("kexp evaluate latest data=iri", {"data=iris"}),
        ("kexp compare --format ", {"table", "csv", "json", "html"}),
        ("kexp promote latest iris --direction mi", {"minimize"}),
        ("kexp nonsense.x=", set()),
        ("kexp show nonsense x", set()),
    ],
)
def test_completion_offers_what_could_come_next(line: str, expected: set[str]) -> None:
    assert set(candidates(line)) == expected


def test_completion_offers_the_stores_runs_latest_first(there: Finished) -> None:
    assert candidates("kexp predict ") == ["latest", there.table.run_id, there.digits.run_id]
    assert candidates(f"kexp predict {there.digits.run_id} flow") == ["flowers.csv"]


def test_completion_knows_sweeps_and_registered_models(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = log_finished_runs(
        StoreSettings(), [RunRecord("rates", "FINISHED", 1, 2, tags={"kexp.sweep.name": "rates"})]
    )[0]
    client = client_for(resolve_uri(StoreSettings()))
    client.create_registered_model("iris")
    client.create_model_version("iris", str(workplace), run_id=run_id)
    client.set_registered_model_alias("iris", "champion", "1")
    assert candidates("kexp evaluate best:") == ["best:latest", "best:rates"]
    assert candidates("kexp predict models:/ir") == ["models:/iris@champion", "models:/iris/latest"]
    assert candidates(f"kexp promote {run_id} ") == ["iris"]
    assert candidates(f"kexp show {run_id[:5]}") == [run_id]


def test_completion_asks_for_a_shell_that_there_is(kexp_command: Kexp, capsys: pytest.CaptureFixture[str]) -> None:
    assert kexp_command("completion", "tcsh") == 2
    assert "'bash', 'fish', 'zsh'" in capsys.readouterr().err
    assert kexp_command("completion") == 2
    assert "choose a shell: bash, fish, zsh" in capsys.readouterr().err


def test_completion_imports_neither_hydra_nor_what_computes() -> None:
    code = (
        "import sys; from kexp.commands.support.completions import candidates\n"
        "assert candidates('kexp optimizer.learn')\n"
        "print([n for n in ('hydra', 'keras', 'tensorflow', 'mlflow', 'numpy', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def typed(shell: list[str], setup: str, keys: str, expected: str, folder: Path) -> str:
    """What an interactive shell shows once `setup` has run and `keys` were typed, up to `expected` or 20 s."""
    environment = {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8",
        "PS1": "READY> ", "PROMPT": "READY> ",
    }  # fmt: skip
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(shell[0], shell, environment)
    seen = b""
    try:
        os.write(terminal, f"{setup}; echo SET-$((20+3))\n".encode())
        seen = _until(terminal, b"SET-23")
        os.write(terminal, keys.encode())
        seen = _until(terminal, expected.encode())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    return seen.decode(errors="replace")


def _until(terminal: int, wanted: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 20
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536)
    return seen


@pytest.mark.parametrize("program", ["kexp", "python -m kexp"])
def test_completion_works_at_a_tab_in_bash(tmp_path: Path, program: str) -> None:
    setup = 'eval "$(kexp completion bash)"'
    shell = ["bash", "--norc", "--noprofile", "-i"]
    keys = f"{program} optimizer=adagr\toptimizer.learning_r\t"
    seen = typed(shell, setup, keys, "optimizer.learning_rate=", tmp_path)
    assert "optimizer=adagrad optimizer.learning_rate=" in seen


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_completion_works_at_a_tab_in_zsh(tmp_path: Path) -> None:
    setup = 'autoload -Uz compinit && compinit -u -D; eval "$(kexp completion zsh)"'
    seen = typed(["zsh", "-f", "-i"], setup, "kexp optimizer=adagr\tloss=huber_\t", "loss=huber_loss", tmp_path)
    assert "adagrad" in seen
    assert "loss=huber_loss" in seen


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_completion_works_in_fish(tmp_path: Path) -> None:
    script = 'kexp completion fish | source; complete -C "kexp optimizer=adag"; complete -C "python -m kexp evalu"'
    environment = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["optimizer=adagrad", "evaluate"]
