"""A disk that is full: one sentence, nothing half-written, and a sweep that goes on once there is room."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from full_disk import half_written

from kexp.tracking import StoreSettings, search

pytestmark = pytest.mark.real_process

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL = ["data=iris", "trainer.epochs=2", "save.formats=[weights]", "save.model=false", "tracking.figures=false"]


class Disk:
    """A small file system of memory that can be made larger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=64k", "tmpfs")

    def resize(self, kilobytes: int) -> None:
        self._mount("-o", f"remount,size={kilobytes}k")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.folder)], check=True, capture_output=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        command = [sys.executable, "-m", "kexp", "backend=jax", *SMALL, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        small = Disk(tmp_path / "small")
    except subprocess.CalledProcessError:
        pytest.skip("only root can mount a file system of its own")
    yield small
    subprocess.run(["umount", "-l", str(small.folder)], check=True)


def test_a_store_that_does_not_fit_is_not_made_by_half(disk: Disk) -> None:
    said = disk.run()
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith("kexp: the disk is full: ")
    assert " are free in " in line
    assert " MB are needed; make room, and type the command again" in line
    assert not [file for file in disk.folder.glob("*mlflow*") if file.stat().st_size]
    disk.resize(8000)
    again = disk.run()
    assert again.returncode == 0, again.stderr
    (run,) = search(StoreSettings(uri=f"sqlite:///{disk.folder / 'mlflow.db'}"))
    assert run.status == "FINISHED"


def test_a_table_that_does_not_fit_into_the_cache_is_told(disk: Disk, tmp_path: Path) -> None:
    """A write to a mapped file on a full disk would end the process by a signal."""
    rows = "".join(f"{number / 7},{number % 2}\n" for number in range(40_000))
    (tmp_path / "large.csv").write_text(f"x,y\n{rows}")
    command = [sys.executable, "-m", "kexp", "describe", "data=csv", "data.path=large.csv", "data.target=y"]
    environment = {**os.environ, "KEXP_CACHE": str(disk.folder)}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert re.search(r"the disk is full: [\d.]+ kB are free in .*, and 0\.6 MB are needed; make room, and type", line)
    assert not [file for file in disk.folder.rglob("*") if file.is_file()]


@pytest.mark.slow
def test_a_sweep_stops_on_a_full_disk_and_is_finished_once_there_is_room(disk: Disk) -> None:
    disk.resize(1350)
    sweep = ["-m", "seed=range(30)", "sweep.name=full", "hydra/launcher=serial", "save.keep=none", "trainer.epochs=1"]
    said = disk.run(*sweep)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "the disk is full" in said.stderr
    assert "kexp resume full" in said.stderr
    assert said.stderr.count("make room") == 1
    disk.resize(20_000)
    resumed = subprocess.run(
        [sys.executable, "-m", "kexp", "resume", "full"], cwd=disk.folder, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    store = StoreSettings(uri=f"sqlite:///{disk.folder / 'mlflow.db'}")
    (parent,) = [run for run in search(store) if run.parent_run_id is None]
    trials = list(search(store, parent_run_id=parent.run_id))
    assert sorted(int(run.params["seed"]) for run in trials) == list(range(30))
    assert {run.status for run in trials} == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 300, 2_000, 9_000, 40_000, 300_000, 700_000])
@pytest.mark.parametrize("what", ["run", "sweep"])
def test_a_file_that_the_system_limits_is_told_as_a_full_disk_is(what: str, most: int, tmp_path: Path) -> None:
    """A limit on the size of files (`ulimit -f`) counts for what C writes too: SQLite, HDF5, images."""
    sweep = ["-m", "seed=1,2", "sweep.name=full", "hydra/launcher=serial"] if what == "sweep" else []
    command = [sys.executable, "-m", "kexp", *sweep, "backend=jax", *SMALL]
    options = {"cwd": tmp_path, "env": {**os.environ, "KERAS_BACKEND": "jax"}, "capture_output": True, "text": True}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    said = subprocess.run(command, preexec_fn=limit, check=False, timeout=300, **options)
    assert said.returncode == 1, said.stderr
    assert "Traceback" not in said.stderr
    assert "the disk is full" in said.stderr or "The disk is full" in said.stderr
    assert half_written(tmp_path) == []
    again = subprocess.run(command, check=False, timeout=300, **options)
    assert again.returncode == 0, again.stderr
    store = StoreSettings(uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not any(view.status == "RUNNING" for view in search(store))
