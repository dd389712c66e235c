"""`hydra/launcher=ray` on a real cluster of several nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest
from conftest import Place, measured, wait_until
from ray_ends import notes_in

from kexp.tracking import RunView, metric_history, search


def test_trials_run_on_every_node_by_warm_actors_and_come_out_as_in_one_process(place: Place) -> None:
    done = place.sweep("seed=range(6)")
    assert done.returncode == 0, done.stderr
    notes = notes_in(place.notes)
    assert len(notes) == 6
    trained, built = (Counter(note["pid"] for note in each) for each in (notes, notes_in(place.notes, "built")))
    assert max((built - trained).values(), default=0) <= 1  # to learn what code of one's own compiles, once an actor
    assert len({note["node"] for note in notes}) == 2
    assert len({note["pid"] for note in notes}) == 2  # an actor a node, for trial after trial
    assert {note["folder"] for note in notes} == {str(place.folder)}
    assert {(note["threads"], note["gpus"]) for note in notes} == {("1", "")}
    assert "6 trials on 2 nodes" in done.stdout
    parent, trials = place.runs()
    assert parent.status == "FINISHED"
    assert Counter(view.status for view in trials) == {"FINISHED": 6}
    for view in trials:
        assert [point.step for point in metric_history(place.store, view.run_id, "val_loss")] == [1, 2, 3]
    again = place.sweep("seed=0,1", "hydra/launcher=serial", "sweep.rerun=true")
    assert again.returncode == 0, again.stderr
    serial = {view.params["seed"]: measured(view) for view in alone(place, parent.run_id)}
    assert len(serial) == 2
    ours = {view.params["seed"]: measured(view) for view in trials}
    assert {seed: ours[seed] for seed in serial} == serial


def alone(place: Place, but: str) -> list[RunView]:
    return [view for view in search(place.store) if view.parent_run_id not in (None, but)]


def test_a_node_that_is_lost_in_mid_sweep_costs_no_trial(place: Place) -> None:
    leaving = place.cluster.add_node(num_cpus=1)
    running = place.start("seed=range(9)", "model.pause_s=0.7", "hydra.launcher.n_workers=3")
    try:
        wait_until(lambda: [note for note in notes_in(place.notes) if note["node"] == leaving.node_id], running)
        place.cluster.remove_node(leaving, allow_graceful=False)
        told, wrong = running.communicate(timeout=300)
    finally:
        running.kill()
    assert running.returncode == 0, wrong
    notes = notes_in(place.notes)
    assert len(notes) == 10  # one of them was begun twice
    assert len({note["node"] for note in notes}) == 3
    assert "1 node lost in between" in told
    _, trials = place.runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 9}
    assert len({view.params["seed"] for view in trials}) == 9
    for view in trials:
        assert [point.step for point in metric_history(place.store, view.run_id, "val_loss")] == [1, 2, 3]


def test_however_a_trial_ends_it_ends_alone(place: Place) -> None:
    ends = {
        "raise": "this model was never meant to be",
        "fail": "RuntimeError: in the middle",
        "leave": "the trial called sys.exit('enough')",
        "kill": "died; killed, or out of memory, perhaps",
        "term": "died; killed, or out of memory, perhaps",
        "hang": "took longer than sweep.trial_timeout_s=20",
    }
    good = ["well1", "kill_once", "memory_once", "well2"]
    every = ",".join([*good[:2], *ends, *good[2:]])
    done = place.sweep(f"model.end={every}", "model.pause_s=0.5", "sweep.trial_timeout_s=20")  # an epoch's word arrives
    assert done.returncode == 1
    _, trials = place.runs()
    by_end = {view.params["model.end"]: view for view in trials}
    assert {end: by_end[end].status for end in good} == dict.fromkeys(good, "FINISHED")
    closing = done.stdout.partition("did not finish")[2]
    for end, reason in ends.items():
        (line,) = [each for each in closing.splitlines() if f"model.end={end} " in each or f"model.end={end}]" in each]
        assert reason in line
        if end != "raise":  # what cannot be built has no run
            assert (by_end[end].status, reason in by_end[end].tags["kexp.reason"]) == ("FAILED", True)
    begun = Counter(note["end"] for note in notes_in(place.notes))
    assert begun == {"fail": 1, "leave": 1, "kill": 2, "term": 2, "hang": 1, "well1": 1, "well2": 1} | {
        "kill_once": 2,
        "memory_once": 2,
    }
    steps = [point.step for point in metric_history(place.store, by_end["kill"].run_id, "val_loss")]
    assert steps == [1]  # what was told before the end is kept


def test_pruners_are_heard(place: Place) -> None:
    done = place.sweep(
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.pruner={name: threshold, upper: 0.0}",
        "sweep.objective=val_loss",
        "optimizer.learning_rate=interval(0.001,0.01)",
    )
    assert done.returncode == 0, done.stderr
    _, trials = place.runs()
    assert Counter(view.tags.get("kexp.state") for view in trials) == {"PRUNED": 3}
    for view in trials:
        assert [point.step for point in metric_history(place.store, view.run_id, "val_loss")] == [1]


def test_an_actor_is_of_one_backend(place: Place) -> None:
    done = place.sweep("backend=tensorflow,jax", "seed=1,2", "hydra.launcher.n_workers=1", "trainer.epochs=1")
    assert done.returncode == 0, done.stderr
    assert len({note["pid"] for note in notes_in(place.notes)}) == 2
    _, trials = place.runs()
    assert Counter((view.params["backend"], view.status) for view in trials) == {
        ("tensorflow", "FINISHED"): 2,
        ("jax", "FINISHED"): 2,
    }


def test_resources_decide_where_and_how_many_at_once(place: Place) -> None:
    done = place.sweep(
        "seed=range(4)",
        "model.pause_s=0.3",
        "hydra.launcher.num_cpus=0.5",
        "hydra.launcher.num_gpus=0.5",
        "hydra.launcher.resources={second: 1}",
        "hydra.launcher.runtime_env={env_vars: {WORD: hello}}",
    )
    assert done.returncode == 0, done.stderr
    notes = notes_in(place.notes)
    assert len({note["node"] for note in notes}) == 1
    assert len({note["pid"] for note in notes}) == 2
    assert {note["word"] for note in notes} == {"hello"}
    assert {note["gpus"] for note in notes} <= {"0", "1"}


@pytest.mark.parametrize(
    ("overrides", "code", "told"),
    [
        (["hydra.launcher.num_cpus=64"], 1, "a trial takes 64 CPU, and the cluster is 2 nodes with 1 CPU"),
        (["hydra.launcher.resources={third: 2}"], 1, "takes 1 CPU, 2 third, and the cluster is 2 nodes with 1 CPU"),
        (["hydra.launcher.num_cpus=0"], 2, "hydra.launcher.num_cpus: must be a number above 0, got 0"),
        (["hydra.launcher.max_retries=-1"], 2, "hydra.launcher.max_retries: must be a whole number, at least 0"),
        (["hydra.launcher.resources=[a]"], 2, "hydra.launcher.resources: must be a mapping, got ['a']"),
        (["hydra.launcher.address='127.0.0.1:1'"], 2, "hydra.launcher.address: no Ray cluster answers at"),
        (["hydra.launcher.num_cpu=1"], 2, "hydra.launcher.num_cpu"),
    ],
)
def test_what_cannot_be_is_one_sentence(place: Place, overrides: list[str], code: int, told: str) -> None:
    done = place.sweep("seed=0,1", *overrides)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not notes_in(place.notes)


def test_without_ray_a_sweep_says_how_to_install_it(place: Place) -> None:
    program = "import sys; sys.modules['ray'] = None; from kexp.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, *place.command("seed=0,1")[3:]],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert "hydra/launcher: Ray is not installed here; pip install kexp-ray" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_the_sweep_and_its_actors(place: Place) -> None:
    running = place.start("seed=range(6)", "model.pause_s=1")
    wait_until(lambda: len(notes_in(place.notes)) >= 2, running)
    time.sleep(2.5)
    os.killpg(running.pid, signal.SIGINT)
    _, wrong = running.communicate(timeout=60)
    assert running.returncode not in (0, None)
    assert "kexp resume" in wrong
    parent, trials = place.runs()
    assert "RUNNING" not in {parent.status, *(view.status for view in trials)}
    assert Counter(view.status for view in trials)["KILLED"] == 2
    pids = {note["pid"] for note in notes_in(place.notes)}
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    again = place.sweep("seed=range(6)", "model.pause_s=1")
    assert again.returncode == 0, again.stderr
    _, trials = place.runs()
    assert Counter(view.status for view in trials) == {"FINISHED": 6}


def test_files_of_a_node_that_does_not_see_the_drivers_come_back(place: Place) -> None:
    scratch = place.folder / "elsewhere"
    done = place.sweep(
        "seed=0,1",
        "save=default",
        "save.keep=none",
        "tracking.figures=true",
        f"hydra.launcher.scratch={scratch}",
    )
    assert done.returncode == 0, done.stderr
    assert list(scratch.iterdir()) == []
    from mlflow import MlflowClient

    client = MlflowClient(place.store.uri)
    _, trials = place.runs()
    for view in trials:
        number = view.tags["kexp.trial"]
        (folder,) = place.folder.glob(f"multirun/*/{number}")
        assert view.tags["kexp.folder"] == str(folder)
        assert (folder / "trial.log").is_file()
        there = {file.path for file in client.list_artifacts(view.run_id)}
        assert {"saved", "figures", "config.yaml"} <= there
        artifacts = {file.path for file in client.list_artifacts(view.run_id, "saved")}
        assert artifacts == {f"saved/{file.name}" for file in (folder / "saved").iterdir()} != set()


def test_models_and_checkpoints_come_back_too(place: Place) -> None:
    scratch = place.folder / "elsewhere"
    done = place.sweep(
        "model.end=well,memory_once",
        "model.epoch=2",
        "save=default",
        "save.keep=best",
        "trainer.checkpoint_epochs=1",
        f"hydra.launcher.scratch={scratch}",
    )
    assert done.returncode == 0, done.stderr
    assert "the best by val_loss (save.keep=best)" in done.stdout
    _, trials = place.runs()
    by_end = {view.params["model.end"]: view for view in trials}
    assert by_end["memory_once"].tags["kexp.resumed_from"] == "2"  # the second attempt had the first one's checkpoint
    assert "kexp.resumed_from" not in by_end["well"].tags
    (saved,) = place.folder.glob("multirun/*/*/saved")
    assert list(saved.iterdir())
    assert not list(place.folder.glob("multirun/*/checkpoints/*"))
