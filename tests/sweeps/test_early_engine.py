"""The lanes' process that a sweep's command line starts before the sweep is planned."""

from __future__ import annotations

import shlex
from pathlib import Path

import psutil
import pytest

from kexp.cli import main
from kexp.sweeps import early_engine
from kexp.sweeps.early_engine import expects_lanes
from kexp.system.child_process import ChildProcess


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-m optimizer=sgd,adam", True),
        ("--multirun seed=1,2 hydra/launcher=fused", True),
        ("-m --config-dir mine experiment=small", True),
        ("-m --config-dir=mine seed=1,2 hydra/launcher=auto", True),
        ("optimizer=sgd", False),
        ("-m seed=1,2 hydra/launcher=serial", False),
        ("-m seed=1,2 backend=tensorflow", False),
        ("-m seed=1,2 +backend=tensorflow", False),
        ("-m seed=1,2 --cfg job", False),
        ("-m --help", False),
        ("-m data=csv data.path=postgresql://me:secret@there/rows seed=1,2", False),
    ],
)
def test_command_lines_that_start_it(line: str, expected: bool) -> None:
    assert expects_lanes(shlex.split(line)) is expected


def test_the_sweep_takes_the_process_that_was_started() -> None:
    early_engine.start_engine_early()
    child = early_engine.take_engine()
    other = early_engine.take_engine()
    try:
        assert child.alive and other.alive and child.pid != other.pid
    finally:
        child.kill()
        other.kill()


@pytest.mark.parametrize(
    ("chosen", "code"), [("- override /hydra/launcher: serial", 0), ("- override /optimizer: nothing_of_this_name", 2)]
)
def test_a_sweep_that_does_not_need_it_ends_it(
    chosen: str, code: int, workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = list[ChildProcess]()
    new = "kexp.system.child_process.ChildProcess"
    monkeypatch.setattr(new, lambda name: started.append(ChildProcess(name)) or started[-1])
    (workplace / "conf" / "experiment").mkdir(parents=True)
    preset = f"# @package _global_\ndefaults:\n  {chosen}\ndata: {{name: iris}}\n"
    (workplace / "conf" / "experiment" / "mine.yaml").write_text(preset)
    words = "tracking=none save=none trainer.epochs=1 seed=1,2"
    with pytest.raises(SystemExit) as end:
        main(["-m", "--config-dir", "conf", "experiment=mine", *words.split()])
    assert (end.value.code or 0) == code, capsys.readouterr().err
    assert [psutil.pid_exists(each.pid) for each in started] == [False]
