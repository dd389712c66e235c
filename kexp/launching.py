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

from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.launchers import HydraLauncher, ProcessesLauncher, SerialLauncher
from kexp.sweeps.launch.trial_run import run_trial
from kexp.sweeps.trials import Outcome, Task, Trial

__all__ = [
    "Events",
    "Feed",
    "HydraLauncher",
    "NoEvents",
    "Outcome",
    "ProcessesLauncher",
    "SerialLauncher",
    "Task",
    "Trial",
    "run_trial",
]
