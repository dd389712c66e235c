"""The disk fills at each write of a whole run and of a whole sweep: a sentence, whole files, and a way to go on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from finished_runs import Kexp
from full_disk import full_disk, half_written

from kexp.tracking import StoreSettings, search

pytestmark = pytest.mark.slow

SMALL = ["data=iris", "trainer.epochs=1", "save.formats=[weights]", "tracking.uri=sqlite:///mlflow.db"]
RUN = [*SMALL, "trainer.verbose=0"]
SWEEP = [
    "-m",
    *SMALL,
    "seed=1,2",
    "sweep.name=full",
    "hydra/launcher=serial",
    "save.keep=best",
    "tracking.figures=false",
]


def writes_of(arguments: list[str], root: Path, kexp_command: Kexp, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many writes a command takes on a disk with room."""
    root.mkdir()
    monkeypatch.chdir(root)
    with full_disk(root) as disk:
        assert kexp_command(*arguments) == 0
    assert half_written(root) == []
    return len(disk.writes)


@pytest.mark.parametrize("what", ["run", "sweep"])
def test_a_disk_that_fills_at_any_write_is_told_and_costs_nothing_for_ever(
    what: str,
    workplace: Path,
    kexp_command: Kexp,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("kexp.tracking.delivery.delivery_thread.BRIEF_S", 0.1)
    monkeypatch.setattr("kexp.tracking.delivery.delivery_thread._LAST_RETRY_S", 0.05)
    arguments = RUN if what == "run" else SWEEP
    wrong = []
    writes = writes_of(arguments, workplace / "whole", kexp_command, monkeypatch)
    for write in range(0, writes, 1 if what == "run" else 16):
        root = workplace / str(write)
        root.mkdir()
        monkeypatch.chdir(root)
        capsys.readouterr()
        with full_disk(root) as disk:
            disk.full_from = write
            code = kexp_command(*arguments)
        said = capsys.readouterr().err
        at = f"{write}: {disk.writes[write : write + 1]}, exit code {code}"
        if code not in (0, 1) or "Traceback" in said or (code and "isk is full" not in said):
            wrong.append(f"{at} said {said}")
        wrong += [f"{at} left {each}" for each in half_written(root)]
        if what == "run":
            if (root / "outputs").is_dir() and (code := kexp_command("sync")):
                wrong.append(f"{at}: sync said {capsys.readouterr().err}")
            if (root / "mlflow.db").exists():
                states = Counter(view.status for view in search(StoreSettings(uri=f"sqlite:///{root / 'mlflow.db'}")))
                if states["RUNNING"] or states.total() > 1:
                    wrong.append(f"{at}: {states}")
        else:
            again = kexp_command(*arguments)
            views = list(search(StoreSettings(uri=f"sqlite:///{root / 'mlflow.db'}")))
            trials = Counter((view.params.get("seed"), view.status) for view in views if view.parent_run_id)
            parents = Counter(view.status for view in views if not view.parent_run_id)
            if again or trials != {("1", "FINISHED"): 1, ("2", "FINISHED"): 1} or parents != {"FINISHED": 1}:
                wrong.append(f"{at}: again {again}, {trials}, {parents}, said {said} and {capsys.readouterr().err}")
        wrong += [f"{at} left for ever {each}" for each in half_written(root)]
    assert not wrong, "\n".join(wrong)
