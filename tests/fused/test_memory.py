"""Programs that do not fit into memory have fewer lanes, and say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import made
import pytest

from kexp import fused
from kexp.fused import LaneResult, Trial
from kexp.fused.program.program import Program

WIDE = (*made.BRIEF, "model.hidden=[800]")


def run(trials: list[Trial], **how: Any) -> list[LaneResult]:
    results = [result for result in fused.run_trials(trials, **how) if isinstance(result, LaneResult)]
    assert [result.status for result in results] == ["finished"] * len(trials), [each.reason for each in results]
    return sorted(results, key=lambda result: result.trial.key)


def test_program_is_as_wide_as_its_measured_size_allows() -> None:
    """A lane takes about a third of a MiB, and each core has a MiB."""
    threads = fused.default_threads()
    tight = (*WIDE, f"fused.memory_limit_mb={threads}")
    results = run(made.trials(*[(*tight, f"seed={seed}") for seed in range(3)]))
    (width,) = {result.width for result in results}
    assert width in (1, 2)
    for result in results:
        (notice,) = result.history.notices
        assert f"{width} in place of 4 lanes" in notice
        assert "MiB of memory" in notice
        assert result.tags["kexp.fewer_lanes"] == str(width)
        made.assert_same_bits(result, fused.train_one(result.trial.prepared))
        made.assert_same_bits(result, fused.train_one(result.trial.prepared, width=width))


def test_max_lanes_overrides_the_measured_size() -> None:
    (result,) = run(made.trials((*WIDE, "fused.memory_limit_mb=1", "fused.max_lanes=4")))
    assert (result.width, result.history.notices) == (4, [])
    assert "kexp.fewer_lanes" not in result.tags


def test_memory_that_runs_out_halves_the_lanes_and_loses_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device refuses an allocation of the program of 4 lanes, in the second epoch of some."""
    train, calls = Program.train, []

    def refusing(self: Program, *arguments: Any) -> Any:
        calls.append(self.width)
        if self.width == 4 and len(calls) > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4096 bytes.")
        return train(self, *arguments)

    monkeypatch.setattr(Program, "train", refusing)
    trials = made.trials(*[(*made.BRIEF, f"seed={seed}") for seed in range(5)])
    results = run(trials, threads=1)
    monkeypatch.undo()
    assert {result.width for result in results} == {2}
    for result in results:
        assert result.history.notices == ["memory ran out in a program of 4 lanes: 2 in place of 4 lanes"]
        made.assert_same_bits(result, fused.train_one(result.trial.prepared, width=2))


# Trains three lanes with so little address space left that the state of four lanes cannot be had, but that of one can.
LIMITED = """
import json, resource, sys
sys.path[:0] = {path!r}
import made
from kexp import fused

trials = made.trials(*[({wide}, f"seed={{seed}}") for seed in range(3)])
planned = fused.plan(trials)
import psutil
have = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (have + {room} * 2**20,) * 2)
results = list(fused.run_trials(trials, planned=planned, threads=1))
print(json.dumps([[each.status, each.reason, each.width, each.history.notices] for each in results]))
"""


@pytest.mark.slow
def test_an_allocation_that_really_fails_halves_the_lanes() -> None:
    here = Path(__file__).parent
    wide = ", ".join(map(repr, (*made.BRIEF, "model.hidden=[3000,3000]", "fused.max_lanes=4")))
    code = LIMITED.format(path=[str(here), str(here.parent)], wide=wide, room=1200)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for status, reason, width, notices in json.loads(done.stdout.splitlines()[-1]):
        assert status == "finished", reason
        assert width < 4
        assert "memory ran out in a program of 4 lanes" in notices[0] or "of 2 lanes" in notices[0]
