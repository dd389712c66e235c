"""`hydra/launcher=fused_ray` on a real cluster of several nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
from conftest import Place, measured, wait_until
from ray_ends import notes_in

from kexp.tracking import metric_history, search


def test_lanes_are_spread_over_the_nodes_and_give_the_same_bits_as_on_one_machine(lanes: Place) -> None:
    done = lanes.sweep("seed=range(12)", "optimizer.learning_rate=1e-3,1e-2", "fused.verify=2")
    assert done.returncode == 0, done.stderr
    notes = notes_in(lanes.notes)
    assert len(notes) == 26  # two were trained again
    assert len({note["node"] for note in notes}) == 2
    assert len({note["pid"] for note in notes}) == 2  # an engine a node, for batch after batch
    assert "group 1: 24 trials from 0 on, 4 lanes; the only structure" in done.stdout
    assert "group 2" not in done.stdout
    assert "24 trials on 2 nodes" in done.stdout
    assert "verified 2 lanes trained again alone, 0 came out otherwise" in done.stdout
    parent, trials = lanes.runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 24}
    for view in trials:
        assert [point.step for point in metric_history(lanes.store, view.run_id, "val_loss")] == [1, 2, 3, 4, 5]
    here = lanes.sweep("seed=range(3)", "optimizer.learning_rate=1e-3,1e-2", "hydra/launcher=fused", "sweep.rerun=true")
    assert here.returncode == 0, here.stderr
    ours = {(view.params["seed"], view.params["optimizer.learning_rate"]): measured(view) for view in trials}
    others = [view for view in search(lanes.store) if view.parent_run_id not in (None, parent.run_id)]
    assert len(others) == 6
    for view in others:
        assert ours[view.params["seed"], view.params["optimizer.learning_rate"]] == measured(view)


def test_a_node_and_an_engine_that_are_lost_in_mid_sweep_cost_no_trial(lanes: Place) -> None:
    leaving = lanes.cluster.add_node(num_cpus=1)
    running = lanes.start("seed=range(60)", "trainer.epochs=8")

    def begun_on(node: str, but: int = 0) -> list[int]:
        return [note["pid"] for note in notes_in(lanes.notes) if note["node"] == node and note["pid"] != but]

    try:
        wait_until(lambda: begun_on(leaving.node_id), running)
        lanes.cluster.remove_node(leaving, allow_graceful=False)
        head = lanes.cluster.head_node.node_id
        wait_until(lambda: begun_on(head), running)
        killed = begun_on(head)[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: begun_on(head, but=killed), running)  # another engine takes its place
        told, wrong = running.communicate(timeout=300)
    finally:
        running.kill()
    assert running.returncode == 0, wrong
    assert "1 node lost in between" in told
    _, trials = lanes.runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 60}
    assert len({view.params["seed"] for view in trials}) == 60
    for view in trials:
        assert [point.step for point in metric_history(lanes.store, view.run_id, "val_loss")] == list(range(1, 9))


def test_what_cannot_be_a_lane_is_a_trial_by_itself_and_a_lane_that_diverges_ends_alone(lanes: Place) -> None:
    done = lanes.sweep(
        "optimizer=sgd",
        "optimizer.learning_rate=0.01,1e30",
        "+callbacks.kept={name: model_checkpoint, filepath: best.keras},null",
        "save=default",
        "save.keep=best",
        f"hydra.launcher.scratch={lanes.folder / 'elsewhere'}",
    )
    assert done.returncode == 1
    _, trials = lanes.runs()
    ends = Counter((view.status, view.params["backend"]) for view in trials)
    assert ends == {
        ("FINISHED", "tensorflow"): 1,
        ("FAILED", "tensorflow"): 1,
        ("FINISHED", "jax"): 1,
        ("FAILED", "jax"): 1,
    }
    assert "callbacks.kept: ModelCheckpoint works on the whole model" in done.stdout
    assert "the best by val_loss (save.keep=best)" in done.stdout
    (saved,) = lanes.folder.glob("multirun/*/*/saved")  # though its variables came from another folder
    assert list(saved.iterdir())
    assert list((lanes.folder / "elsewhere").iterdir()) == []
    (log,) = lanes.folder.glob("multirun/*/fused-*.log")
    assert "a lane begins" in log.read_text()
    for view in trials:
        assert view.tags["kexp.folder"].startswith(str(lanes.folder / "multirun"))


def test_a_search_prunes_lanes(lanes: Place) -> None:
    done = lanes.sweep(
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=10",
        "hydra.sweeper.pruner={name: threshold, upper: 0.0}",
        "sweep.objective=val_loss",
        "optimizer.learning_rate=interval(0.001,0.01)",
    )
    assert done.returncode == 0, done.stderr
    _, trials = lanes.runs()
    assert Counter(view.tags["kexp.state"] for view in trials) == {"PRUNED": 10}
    for view in trials:
        assert [point.step for point in metric_history(lanes.store, view.run_id, "val_loss")] == [1]


def test_ctrl_c_ends_the_sweep_and_its_engines(lanes: Place) -> None:
    running = lanes.start("seed=range(40)", "trainer.epochs=20")
    wait_until(lambda: len({note["pid"] for note in notes_in(lanes.notes)}) == 2, running)
    time.sleep(1.0)
    os.killpg(running.pid, signal.SIGINT)
    _, wrong = running.communicate(timeout=60)
    assert running.returncode not in (0, None)
    assert "kexp resume" in wrong
    parent, trials = lanes.runs()
    assert "RUNNING" not in {parent.status, *(view.status for view in trials)}
    assert Counter(view.status for view in trials)["KILLED"] >= 2
    pids = {note["pid"] for note in notes_in(lanes.notes)}
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    again = lanes.sweep("seed=range(40)", "trainer.epochs=20")
    assert again.returncode == 0, again.stderr
    _, trials = lanes.runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 40}


def test_a_plan_needs_no_cluster(lanes: Place) -> None:
    nowhere = {**lanes.environment, "RAY_ADDRESS": "127.0.0.1:1"}
    for launcher, told in [("fused_ray", "group 1: 2 trials from 0 on, 4 lanes"), ("ray", "structures 1")]:
        command = [sys.executable, "-m", "kexp", "plan", *lanes.experiment, f"hydra/launcher={launcher}", "seed=0,1"]
        done = subprocess.run(
            command, cwd=lanes.folder, env=nowhere, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"launcher   {launcher}\n" in done.stdout
        assert told in done.stdout
    assert not notes_in(lanes.notes)
