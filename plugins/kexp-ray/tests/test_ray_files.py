"""Files on their way between machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kexp_ray.files import Away, TrialFiles, pack, unpack

from kexp.sweeps.trials import Outcome, Task
from kexp.tracking import RunRecord


def task(driver: Path) -> Task:
    return Task(
        number=3,
        config={},
        overrides=(),
        folder=str(driver / "3"),
        name="sweep-3",
        checkpoint=str(driver / "checkpoints" / "abc"),
        state=str(driver / "states" / "abc.npz"),
    )


def test_what_a_trial_leaves_is_at_the_drivers_paths_afterwards(tmp_path: Path) -> None:
    driver, node, far = tmp_path / "driver", tmp_path / "node", tmp_path / "far"
    away = Away(task(driver), node)
    there = Path(away.task.folder)
    (there / "saved").mkdir()
    (there / "saved" / "model.h5").write_bytes(b"model")
    (there / "trial.log").write_bytes(b"log")
    far.mkdir()
    (far / "notes.txt").write_bytes(b"notes")
    Path(away.task.state).parent.mkdir()
    Path(away.task.state).write_bytes(b"state")
    record = RunRecord(
        "sweep-3",
        "FINISHED",
        0,
        1,
        files=[(there / "saved", ""), (far / "notes.txt", "more")],
        tags={"kexp.folder": "x"},
    )
    outcome, files = away.leave(Outcome(3, "FINISHED", record=record))
    files.put_where(task(driver))
    assert not node.exists()
    assert (driver / "3" / "trial.log").read_bytes() == b"log"
    assert (driver / "states" / "abc.npz").read_bytes() == b"state"
    assert outcome.record is not None
    assert outcome.record.tags["kexp.folder"] == str(driver / "3")
    (saved, at), (notes, more) = outcome.record.files
    assert (saved, at) == (driver / "3" / "saved", "")
    assert (saved / "model.h5").read_bytes() == b"model"
    assert more == "more"
    assert (notes.name, notes.read_bytes()) == ("notes.txt", b"notes")


def test_a_checkpoint_goes_along_and_comes_back(tmp_path: Path) -> None:
    driver = tmp_path / "driver"
    unpack({"epoch-1/weights": b"one"}, driver / "checkpoints" / "abc")
    away = Away(task(driver), tmp_path / "node")
    away.arrive(TrialFiles.for_task(task(driver)))
    assert pack(Path(away.task.checkpoint)) == {"epoch-1/weights": b"one"}
    (Path(away.task.checkpoint) / "epoch-1" / "weights").unlink()
    unpack({"epoch-2/weights": b"two"}, Path(away.task.checkpoint))
    _, files = away.leave(Outcome(3, "FAILED"))
    files.put_where(task(driver))
    assert pack(driver / "checkpoints" / "abc") == {"epoch-2/weights": b"two"}


def test_a_trial_without_state_or_checkpoint_needs_neither(tmp_path: Path) -> None:
    plain = replace(task(tmp_path / "driver"), checkpoint="", state="")
    away = Away(plain, tmp_path / "node")
    away.arrive(TrialFiles.for_task(plain))
    outcome, files = away.leave(Outcome(3, "FAILED", "no reason"))
    files.put_where(plain)
    assert outcome.reason == "no reason"
    assert list((tmp_path / "driver").rglob("*")) == []


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/tmp/kexp-ray-out"])
def test_files_that_would_land_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="within the trial's folder"):
        unpack({name: b"bad"}, tmp_path / "folder")
    assert list(tmp_path.rglob("*")) == []
