"""Trials whose store is away wait on disk, and reach it later: each once, in the place of earlier attempts."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from finished_runs import Kexp

from kexp.errors import StoreError
from kexp.sweeps.execution.session import ARGUMENTS
from kexp.sweeps.record import recorder as recording
from kexp.sweeps.record.recorder import Recorder
from kexp.sweeps.stored_command import command_of
from kexp.tracking import (
    DatasetRecord,
    Header,
    RunRecord,
    RunView,
    StoreSettings,
    add_to_run,
    fetch_artifact,
    find_run,
    log_finished_runs,
    metric_history,
    open_run,
    prepare_store,
    resolve_uri,
    search,
    waiting_folders,
)
from kexp.tracking.delivery import finished_runs
from kexp.tracking.delivery.sync import deliver
from kexp.tracking.delivery.trial_outbox import TrialOutbox

FOLDER = Path("multirun/first")


@pytest.fixture
def sweep(workplace: Path) -> Iterator[str]:
    """A sweep's run that is over; gives its id."""
    tracker = open_run(StoreSettings(), name="first", folder=FOLDER)
    tracker.end("FINISHED")
    yield tracker.run_id


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away is tried once, and not for three quarters of a minute."""
    monkeypatch.setattr(recording, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(finished_runs, "_ATTEMPTS", 1)


@contextlib.contextmanager
def away() -> Iterator[None]:
    """The store's file is gone for a while, as if its disk had been. A lock takes SQLite 20 s to give up on."""
    store = Path("mlflow.db").rename("elsewhere.db")
    Path("mlflow.db").mkdir()
    yield
    Path("mlflow.db").rmdir()
    store.rename("mlflow.db")


def record(sweep: str, number: int, status: str = "FINISHED") -> RunRecord:
    points = [("loss", 1 / (number + step), step, 1000 + step) for step in range(1, 6)]
    return RunRecord(
        f"first-{number}",
        status,
        1000,
        2000 + number,
        params={"seed": number},
        metrics=points,
        tags={"kexp.fingerprint": f"f{number}", "kexp.trial": number},
        parent_run_id=sweep,
    )


def trials(sweep: str) -> list[RunView]:
    return list(search(StoreSettings(), parent_run_id=sweep))


def interrupted(sweep: str, *records: RunRecord) -> list[str]:
    """Hands records to a recorder whose store is away to the end; gives its notices."""
    notices: list[str] = []
    recorder = Recorder(StoreSettings(), folder=FOLDER, run_id=sweep, resume_command="kexp resume it", notices=notices)
    with away():
        for each in records:
            recorder.put(each)
        recorder.close()
    return notices


@pytest.mark.usefixtures("impatient")
def test_trials_that_the_store_does_not_take_are_delivered_by_sync(
    sweep: str, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    (notice,) = interrupted(sweep, record(sweep, 0), record(sweep, 1))
    assert notice.startswith("The tracking store is away (tracking.uri: writing runs failed at sqlite:///")
    assert "2 of the sweep's trials wait in multirun/first" in notice
    assert "`kexp sync multirun/first`" in notice
    assert "`kexp resume it`" in notice
    assert trials(sweep) == []
    assert kexp_command("sync") == 0
    assert capsys.readouterr().out == "multirun/first: 2 trials delivered\n"
    for view in trials(sweep):
        number = int(view.params["seed"])
        points = [(point.step, point.value) for point in metric_history(StoreSettings(), view.run_id, "loss")]
        assert points == [(step, 1 / (number + step)) for step in range(1, 6)]
    assert Counter(view.status for view in trials(sweep)) == {"FINISHED": 2}
    assert kexp_command("sync") == 0
    assert capsys.readouterr().out == "nothing waits in multirun\n"
    assert len(trials(sweep)) == 2


@pytest.mark.usefixtures("impatient")
def test_trials_that_wait_are_in_the_store_before_the_sweep_goes_on(sweep: str) -> None:
    failed = record(sweep, 0, "FAILED")
    log_finished_runs(StoreSettings(), [failed])
    interrupted(sweep, record(sweep, 0), record(sweep, 1, "FAILED"))
    notices: list[str] = []
    recorder = Recorder(
        StoreSettings(),
        {"f0": [failed.run_id]},
        folder=FOLDER,
        run_id=sweep,
        resume_command="kexp resume it",
        notices=notices,
    )
    assert notices == ["2 of the sweep's trials had waited on disk, and are in the store now"]
    assert {view.name: view.status for view in trials(sweep)} == {"first-0": "FINISHED", "first-1": "FAILED"}
    recorder.put(record(sweep, 1))  # what failed while the store was away is run again
    recorder.close()
    assert {view.name: view.status for view in trials(sweep)} == {"first-0": "FINISHED", "first-1": "FINISHED"}
    assert len(trials(sweep)) == 2
    assert not waiting_folders(Path())


@pytest.mark.usefixtures("impatient")
def test_kill_while_the_store_is_away_costs_no_trial(sweep: str, wait_until: Callable[..., None]) -> None:
    recorder = Recorder(StoreSettings(), folder=FOLDER, run_id=sweep, resume_command="kexp resume it", interval_s=0.01)
    with away():
        recorder.put(record(sweep, 0))
        wait_until(lambda: len(TrialOutbox(FOLDER).waiting()) == 1)  # a kill from now on finds it on disk
    recorder.close()
    assert len(trials(sweep)) == 1
    assert TrialOutbox(FOLDER).waiting() == []


@pytest.fixture
def wait_until() -> Callable[..., None]:
    import time

    def wait(true: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait


@pytest.mark.usefixtures("impatient")
def test_trial_that_was_run_again_meanwhile_is_there_once(sweep: str) -> None:
    interrupted(sweep, record(sweep, 0))
    again = record(sweep, 0)
    log_finished_runs(StoreSettings(), [again])  # on another machine, say
    delivered = deliver(FOLDER)
    assert delivered is not None and delivered.trials == 0
    assert [view.run_id for view in trials(sweep)] == [again.run_id]
    assert not waiting_folders(Path())


@pytest.mark.usefixtures("impatient")
def test_sync_leaves_the_trials_of_a_running_sweep_to_it(
    sweep: str, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(sweep, record(sweep, 0))
    running = open_run(StoreSettings(), name="first", folder=FOLDER, run_id=sweep)
    assert kexp_command("sync") == 0
    assert "multirun/first: its sweep is in progress and delivers by itself" in capsys.readouterr().out
    running.end("FINISHED")
    assert len(TrialOutbox(FOLDER).waiting()) == 1


@pytest.mark.usefixtures("impatient")
def test_resume_delivers_the_command_of_a_sweep_that_was_killed_in_its_first_second(workplace: Path) -> None:
    tags = {"kexp.sweep.name": "first", "kexp.sweep.key": "k", "kexp.folder": str(FOLDER.resolve())}
    tracker = open_run(StoreSettings(), name="first", folder=FOLDER, tags=tags)
    tracker.end("KILLED")
    late = add_to_run(Header(resolve_uri(StoreSettings()), tracker.run_id, "1", "first"), folder=FOLDER)
    late.log_text('{"arguments": ["seed=1,2"]}', ARGUMENTS)
    late.end("KILLED")
    TrialOutbox(FOLDER).keep(StoreSettings(), [record(tracker.run_id, 0)])
    command = command_of("first")
    assert command.arguments[0] == "seed=1,2"
    assert command.delivered == "1 row and 1 trial had waited on disk, and are in the store now"
    assert [view.name for view in trials(tracker.run_id)] == ["first-0"]
    assert command_of("first").delivered == ""


@pytest.mark.usefixtures("impatient")
def test_models_that_the_store_does_not_take_are_counted_and_delivered_by_sync(sweep: str, kexp_command: Kexp) -> None:
    run = Header(resolve_uri(StoreSettings()), sweep, prepare_store(StoreSettings()), "first")
    more = add_to_run(run, folder=FOLDER / "0")
    more.set_tags({"saved": "late"})
    more.end("FINISHED")
    notices, over = list[str](), list[str]()
    recorder = Recorder(StoreSettings(), folder=FOLDER, run_id=sweep, resume_command="kexp resume it", notices=notices)
    with away():
        recorder.add_model(FOLDER / "0", lambda: over.append("saved"))
        recorder.close()
    assert (recorder.trials_left, recorder.models_left, over) == (0, 1, ["saved"])
    (notice,) = notices
    assert "1 saved model waits in multirun/first; deliver it with `kexp sync multirun/first`." in notice
    assert kexp_command("sync", "multirun/first") == 0
    assert find_run(StoreSettings(), sweep).tags["saved"] == "late"


def test_sync_waits_for_a_store_that_is_away(
    workplace: Path, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    away = StoreSettings("http://127.0.0.1:9")
    (FOLDER / "outbox").mkdir(parents=True)
    TrialOutbox(FOLDER).keep(away, [record("a" * 32, 0)])
    assert kexp_command("sync") == 1
    assert "cannot reach the MLflow server at http://127.0.0.1:9" in capsys.readouterr().err
    assert [each.name for _, each in TrialOutbox(FOLDER).waiting()] == ["first-0"]


def test_record_comes_back_from_disk_as_it_was(workplace: Path) -> None:
    """Written from there, a run has all that one written at once has."""
    prepare_store(StoreSettings())
    (workplace / "trial.log").write_text("a line\n")
    given = {
        "params": {"rate": np.float32(0.5), "hidden": [4, 2], "none": None, "on": True, "long": "x" * 7000},
        "metrics": [("loss", math.nan, 1, 5), ("loss", math.inf, 2, 6), ("acc", np.float64(0.1), 2, 6)],
        "tags": {"kexp.fingerprint": "f", "number": 3, "ü/ñ": "é"},
        "texts": {"config.yaml": "seed: 1\n", "notes/ü.txt": "ü"},
        "files": [(Path("trial.log"), "logs")],
        "datasets": [DatasetRecord("digits", "d" * 36, "train", schema={"x": [1]}, profile={"rows": 3})],
    }
    direct = RunRecord("direct", "FINISHED", 1, 2, **given)
    TrialOutbox(FOLDER).keep(StoreSettings(), [RunRecord("kept", "FINISHED", 1, 2, **given)])
    (FOLDER / "outbox" / "trials").chmod(0o700)
    delivered = deliver(FOLDER)
    assert delivered is not None and (delivered.trials, delivered.refused) == (1, ())
    log_finished_runs(StoreSettings(), [direct])
    one, other = sorted(search(StoreSettings()), key=lambda view: view.name)
    assert one.params == other.params and len(one.params["long"]) < 200
    assert {**one.tags, "mlflow.runName": ""} == {**other.tags, "mlflow.runName": ""}
    for key in ("loss", "acc"):
        first, second = (metric_history(StoreSettings(), view.run_id, key) for view in (one, other))
        assert [repr(point) for point in first] == [repr(point) for point in second]
    for path in ("logs/trial.log", "notes/ü.txt", "params/long.txt"):
        texts = [
            fetch_artifact(StoreSettings(), view.run_id, path, workplace / view.name).read_text()
            for view in (one, other)
        ]
        assert texts[0] == texts[1] != ""


def test_files_that_wait_are_for_their_owner_only(workplace: Path) -> None:
    """A store's address may hold a password."""
    TrialOutbox(FOLDER).keep(StoreSettings("http://me:secret@host"), [record("a" * 32, 0)])
    (file,) = (FOLDER / "outbox" / "trials").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_trial_that_the_store_refuses_stops_no_other(
    sweep: str, kexp_command: Kexp, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = RunRecord("lacking", "FINISHED", 1, 1500, files=[(Path("gone.txt"), "")], parent_run_id=sweep)
    TrialOutbox(FOLDER).keep(StoreSettings(), [lacking, record(sweep, 0)])
    assert kexp_command("sync") == 1
    told = capsys.readouterr()
    assert "multirun/first: 1 trial delivered" in told.out
    assert "the store refused a trial: lacking:" in told.err and "gone.txt" in told.err
    assert [view.name for view in trials(sweep)] == ["first-0"]
    assert kexp_command("sync") == 0
    assert (FOLDER / "outbox" / "trials" / f"{lacking.run_id}.refused").is_file()


def test_damaged_file_is_told_by_its_name(workplace: Path) -> None:
    file = FOLDER / "outbox" / "trials" / "abc.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"store": {}')
    with pytest.raises(StoreError, match=r"abc\.jsonl: does not hold the record of a trial"):
        deliver(FOLDER)


@pytest.mark.usefixtures("impatient")
def test_disk_that_takes_nothing_either_is_told(sweep: str) -> None:
    recorder = Recorder(StoreSettings(), folder=FOLDER, run_id=sweep, resume_command="kexp resume it")
    (FOLDER / "outbox" / "trials").write_text("no folder")
    with away():
        recorder.put(record(sweep, 0))
        with pytest.raises(StoreError, match=r"1 finished trial could not be recorded: .*could not be kept"):
            recorder.close()
