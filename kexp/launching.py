"""The public names for launchers in other packages. They are stable; `docs/plugins.md` describes them.

from kexp.launching import Events, Feed, HydraLauncher, run_trial

class OneByOne(HydraLauncher):
    def run_tasks(self, tasks: Feed, events: Events) -> None:
        for task in tasks:
            events.on_start(task.number)
            if not events.on_end(run_trial(task, events.on_epoch)):
                return
"""

from __future__ import annotations

from kexp.schema import Fused, Sweep
from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.fusing import FusedLauncher
from kexp.sweeps.launch.lanes.estimates import has_foreign_code
from kexp.sweeps.launch.lanes.lane_engine import LaneEngine, import_engine
from kexp.sweeps.launch.lanes.lane_runner import LaneGroup, LaneRunner
from kexp.sweeps.launch.lanes.messages import Batch, Verified
from kexp.sweeps.launch.launchers import HydraLauncher, ProcessesLauncher, SerialLauncher
from kexp.sweeps.launch.trial_run import logged, run_trial, too_long
from kexp.sweeps.launch.worker_process import import_keras
from kexp.sweeps.launch.workers import WorkerError
from kexp.sweeps.trials import Outcome, Task, Trial
from kexp.tracking import RunRecord
from kexp.training import forget_model, own_process

__all__ = [
    "Batch",
    "Events",
    "Feed",
    "Fused",
    "FusedLauncher",
    "HydraLauncher",
    "LaneEngine",
    "LaneGroup",
    "LaneRunner",
    "NoEvents",
    "Outcome",
    "ProcessesLauncher",
    "RunRecord",
    "SerialLauncher",
    "Sweep",
    "Task",
    "Trial",
    "Verified",
    "WorkerError",
    "forget_model",
    "has_foreign_code",
    "import_engine",
    "import_keras",
    "logged",
    "own_process",
    "run_trial",
    "too_long",
]
