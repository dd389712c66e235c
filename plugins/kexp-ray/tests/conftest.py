"""A Ray cluster of two nodes on this machine, and a folder to run sweeps in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from kexp.tracking import RunView, StoreSettings, search

HERE = Path(__file__).parent
SMALL = ["data=random", "data.rows=100", "trainer.batch_size=16", "save=none", "tracking.figures=false"]
ALONE = [
    *SMALL,
    "model=ray_ends:model",
    "model.notes=notes",
    "callbacks=[ray_ends:at]",
    "trainer.epochs=3",
    "hydra/launcher=ray",
]
LANES = [*SMALL, "model.hidden=[4]", "callbacks=[ray_ends:slow]", "trainer.epochs=5", "hydra/launcher=fused_ray"]


class Place:
    """An empty working directory, and the cluster that its sweeps run on."""

    def __init__(self, folder: Path, cluster: Cluster, experiment: Sequence[str]) -> None:
        self.folder, self.cluster, self.experiment = folder, cluster, experiment
        self.notes = folder / "notes"
        self.notes.mkdir()

    def command(self, *overrides: str) -> list[str]:
        return [sys.executable, "-m", "kexp", "-m", *self.experiment, *overrides]

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        """A sweep in a process group of its own, as a terminal has it."""
        return subprocess.Popen(
            self.command(*overrides),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sweep(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        """A sweep to its end."""
        running = self.start(*overrides)
        try:
            told, wrong = running.communicate(timeout=400)
        finally:
            running.kill()
        return subprocess.CompletedProcess(overrides, running.returncode, told, wrong)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        own = {"RAY_ADDRESS": self.cluster.address, "PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"}
        return {**kept, **own}

    @property
    def store(self) -> StoreSettings:
        return StoreSettings(uri=f"sqlite:///{self.folder / 'mlflow.db'}")

    def runs(self) -> tuple[RunView, Sequence[RunView]]:
        """The sweep's run, and its trials'."""
        everything = list(search(self.store))
        (parent,) = [view for view in everything if view.parent_run_id is None]
        return parent, [view for view in everything if view.parent_run_id == parent.run_id]


def wait_until(true: Callable[[], object], running: subprocess.Popen[str], timeout_s: float = 200.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def measured(view: RunView) -> dict[str, float]:
    """The metrics of a run's model, without those of its time and machine."""
    return {name: value for name, value in view.metrics.items() if not name.startswith("system/")}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A head and a second node, one core each; the second has two GPUs, which need not exist to be shared out."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1, num_gpus=2, resources={"second": 2})
    yield made
    made.shutdown()


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster) -> Place:
    return Place(tmp_path, cluster, ALONE)


@pytest.fixture
def lanes(tmp_path: Path, cluster: Cluster) -> Place:
    return Place(tmp_path, cluster, LANES)
