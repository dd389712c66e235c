"""The disk fills at each write of a run, one after the other: nothing is half-written, and what was logged is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from full_disk import full_disk, half_written

from kexp.experiment.state import TrainedState
from kexp.persistence.atomic import write_atomically
from kexp.system.disk import disk_full_error, is_disk_full
from kexp.system.whole_files import copy_whole
from kexp.tracking import (
    Header,
    RunRecord,
    StoreSettings,
    list_artifacts,
    open_run,
    prepare_store,
    search,
    waiting_folders,
)
from kexp.tracking.delivery.outbox import Outbox
from kexp.tracking.delivery.sync import sync
from kexp.tracking.delivery.trial_outbox import TrialOutbox

pytestmark = pytest.mark.real_process

EPOCHS = 3
TEXT = "seed: 1\n" * 20


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StoreSettings:
    """A store on another disk: what SQLite itself writes is none of Python's."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    made = StoreSettings(uri=uri, flush_interval_s=60, end_timeout_s=0)
    prepare_store(made)
    return made


def track(settings: StoreSettings, name: str, folder: Path, outside: Path) -> None:
    run = open_run(settings, name=name, folder=folder)
    try:
        run.log_params({"seed": 1})
        for epoch in range(1, EPOCHS + 1):
            run.log_metrics({"loss": 1 / epoch}, step=epoch)
        run.log_text(TEXT, "config.yaml")
        run.log_file(outside)
        run.log_figure("learning_curves", history={"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]})
    except BaseException:
        run.end("FAILED", "the disk is full")
        raise
    run.end("FINISHED")


def test_a_disk_that_fills_at_any_write_leaves_whole_files_and_a_run_that_is_told(
    settings: StoreSettings, tmp_path: Path
) -> None:
    outside, root = tmp_path / "why.md", tmp_path / "whole"
    outside.write_text("why\n" * 100)
    root.mkdir()
    with full_disk(root) as disk:
        track(settings, "whole", root / "run", outside)
    assert half_written(root) == []
    ends = [check(settings, tmp_path / str(write), write, outside) for write in range(len(disk.writes))]
    assert ends.count("FINISHED") > 5, "where only the delivery finds no room, the run does not fail"
    assert ends.count("FAILED") > 10


def test_what_is_needed_and_what_is_free_is_said_of_any_file_whose_size_is_known(tmp_path: Path) -> None:
    source, kept = tmp_path / "source.bin", tmp_path / "disk"
    source.write_bytes(b"x" * 250_000)
    record = RunRecord("trial", "FINISHED", 1, 2, texts={"long.txt": "x" * 260_000})
    store = StoreSettings(uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    header = Header("sqlite:///none.db", "a" * 32, "1", "run")
    state = TrainedState([np.zeros((150_000,), "float32")], [], [])
    kept.mkdir()
    outbox = Outbox(kept / "run")
    writers: dict[str, Callable[[], object]] = {
        "0.2 MB": lambda: copy_whole(source, kept / "copy.bin"),
        "0.3 MB": lambda: TrialOutbox(kept).keep(store, [record]),
        "0.4 MB": lambda: write_atomically(kept / "report.html", b"x" * 400_000),
        "0.5 MB": lambda: outbox.append({"texts": {"a": "x" * 500_000}}),
        "0.6 MB": lambda: state.write(kept / "state.npz", {}),
    }
    with full_disk(kept) as disk:
        outbox.open(header)
        disk.full_from = 0
        for size, write in writers.items():
            with pytest.raises(OSError) as raised:
                write()
            said = str(disk_full_error(raised.value, go_on="kexp resume x"))
            assert re.fullmatch(
                rf"the disk is full: [\d.]+ MB are free in {re.escape(str(kept))}\S*, and {size} are needed; "
                "make room, and continue with: kexp resume x",
                said,
            ), said
        outbox.close()


def test_a_store_whose_disk_is_full_is_told_with_its_folder_and_what_waits(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    settings = StoreSettings(uri, artifact_location=str(there), flush_interval_s=60, end_timeout_s=0)
    prepare_store(settings)
    run = open_run(settings, name="told", folder=tmp_path / "run")
    run.log_text("x" * 300_000, "long.txt")
    with full_disk(there) as disk:
        disk.full_from = 0
        run.end("FINISHED")
    place = re.escape(str(there))
    assert re.fullmatch(
        rf"The disk is full: [\d.]+ MB are free in {place}\S*, and 0\.3 MB are needed; \d rows wait in \S+; "
        r"make room, and deliver them with `kexp sync \S+`\.",
        run.notice,
    ), run.notice


def check(settings: StoreSettings, root: Path, write: int, outside: Path) -> str:
    """How a run ends on a disk that fills at a write, once there is room again."""
    root.mkdir()
    failure: Exception | None = None
    with full_disk(root) as disk:
        disk.full_from = write
        try:
            track(settings, f"full-{write}", root / "run", outside)
        except Exception as error:
            failure = error
    at = disk.writes[write : write + 1]
    assert failure is None or is_disk_full(failure), (at, failure)
    assert half_written(root) == [], at
    sync(root)
    assert waiting_folders(root) == [], at
    (view,) = [view for view in search(settings) if view.name == f"full-{write}"]
    assert view.status == ("FINISHED" if failure is None else "FAILED"), (at, failure)
    if failure is None:
        assert list_artifacts(settings, view.run_id) == ["config.yaml", "figures/learning_curves.png", "why.md"], at
        assert view.metrics == {"loss": 1 / EPOCHS}, at
    assert half_written(root) == [], at
    return view.status
