"""A server that is away while a run, a sweep or a command needs it: nothing lost, nothing twice, one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from distant import distant
from finished_runs import Kexp
from outages import KINDS, Place, place, wait_until
from servers import Server

from kexp.tracking import RunView, StoreSettings, metric_history, prepare_store, search
from kexp.tracking.store.client import client_for

EPOCHS, TRIALS = 40, 6
SMALL = ["backend=jax", "data=iris", f"trainer.epochs={EPOCHS}", "trainer.batch_size=4", "save.formats=[weights]"]
SWEEP = ["-m", *SMALL, f"seed=range({TRIALS})", "sweep.name=away", "hydra/launcher=serial", "save.keep=top:2"]
SHORT = {("sweep", "hangs"), ("run", "refuses the password")}
CASES = [
    pytest.param(
        what, kind, 4 if (what, kind) in SHORT else 20, marks=() if (what, kind) in SHORT else pytest.mark.slow
    )
    for what in ("run", "sweep")
    for kind in KINDS
]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.stop()


@pytest.mark.parametrize(("what", "kind", "seconds"), CASES)
def test_a_server_that_goes_and_comes_back_costs_nothing_but_its_absence(
    what: str, kind: str, seconds: int, own_server: Server, tmp_path: Path
) -> None:
    with place(tmp_path / "place", own_server, kind) as there:
        process = there.start(*(SWEEP if what == "sweep" else SMALL))
        wait_until(lambda: ("FINISHED  epoch" if what == "sweep" else "epoch ") in there.said(), process)
        with there.outage():
            sleep(seconds)
        over = monotonic()
        code = process.wait(300)
        assert monotonic() - over < 150, "once the server is back, there is only the rest of the computing"
        if what == "sweep" or code == 0:
            assert code == 0, there.said()
        else:  # it was over while the server was away
            check_that_it_says_what_waits(there)
        assert "Traceback" not in there.said()
        if code:
            code, said, _ = there.run("sync")
            assert (code, "rows delivered" in said) == (0, True), said
    check_rows(StoreSettings(own_server.address), TRIALS if what == "sweep" else 1, models=2 if what == "sweep" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["run", "sweep"])
def test_what_was_refused_with_an_expired_token_to_the_end_is_delivered_by_sync(
    what: str, own_server: Server, tmp_path: Path
) -> None:
    with place(tmp_path / "place", own_server, "refuses the password") as there:
        process = there.start(*(SWEEP if what == "sweep" else SMALL))
        wait_until(lambda: ("FINISHED  epoch" if what == "sweep" else "epoch ") in there.said(), process)
        with there.outage():
            assert process.wait(400) == 1
            check_that_it_says_what_waits(there)
            assert "it refuses the user or the password (401)" in there.said()
            code, said, _ = there.run("sync")
            assert code == 2
            assert said.count("\n") == 1
            assert "refuses the user or the password (401)" in said
        code, said, _ = there.run("sync")
        assert code == 0, said
    check_rows(StoreSettings(own_server.address), TRIALS if what == "sweep" else 1, models=2 if what == "sweep" else 1)


COMMANDS = {
    "compare": ["compare", "first"],
    "resume": ["resume", "first"],
    "predict": ["predict", "latest", "rows.csv", "out.csv"],
    "promote": ["promote", "latest", "registered"],
    "evaluate": ["evaluate", "latest"],
    "reproduce": ["reproduce", "latest"],
    "export": ["export", "latest", "out", "--format", "json"],
}
FAULTS = {
    401: (2, "refuses the user or the password (401)"),
    403: (2, "refuses the user or the password (403)"),
    404: (2, "is no MLflow server"),
    503: (1, "answers with an error (503)"),
    "cut": (1, "cannot be used: connection broken"),
    "hang": (1, "cannot be used: it did not answer within 0.2 s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_command_says_in_one_sentence_why_the_server_cannot_be_used(
    fault: int | str,
    server: Server,
    workplace: Path,
    kexp_command: Kexp,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("kexp.tracking.store.server_check._PATIENCE_S", 0.2)
    Path("rows.csv").write_text("a\n1\n")
    with distant(server.address, delay_s=0) as far:
        far.fault = lambda method, path: fault
        address = far.address.replace("http://", "http://me:secret@")
        for name, command in COMMANDS.items():
            code = kexp_command(*command, "--tracking-uri", address)
            said = capsys.readouterr()
            assert (code, said.out) == (FAULTS[fault][0], ""), (name, said.err)
            assert FAULTS[fault][1] in said.err, name
            assert said.err.count("\n") == 1, name
            assert "secret" not in said.err, name


def test_sync_asks_a_server_that_is_away_once_whatever_waits_for_it(
    server: Server,
    workplace: Path,
    kexp_command: Kexp,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("kexp.tracking.store.server_check._PATIENCE_S", 0.2)
    with distant(server.address, delay_s=0) as far:
        for number in range(5):
            outbox = Path("outputs", str(number), "outbox")
            outbox.mkdir(parents=True)
            run = f'{{"uri": "{far.address}", "run_id": "{"a" * 32}", "experiment_id": "0", "name": "n"}}'
            (outbox / "rows.jsonl").write_text(f'{{"run": {run}}}\n{{"tags": {{"a": "b"}}}}\n')
        far.fault = lambda method, path: "hang"
        assert kexp_command("sync") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "did not answer within 0.2 s" in line


def test_a_name_that_the_server_does_not_serve_is_no_wrong_password(own_server: Server) -> None:
    """MLflow's server answers 403 where the host of the request is none of its own."""
    import socket

    real = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "socket.getaddrinfo",
            lambda host, *rest, **options: real("127.0.0.1" if host == "elsewhere.test" else host, *rest, **options),
        )
        address = own_server.address.replace("127.0.0.1", "elsewhere.test")
        with pytest.raises(Exception, match=r"serves no such host name; .* --allowed-hosts"):
            prepare_store(StoreSettings(uri=address))


def test_artifacts_in_a_folder_of_another_machine_are_told_before_anything_is_computed(server: Server) -> None:
    uri, experiments = server.address, client_for(server.address)
    for name, location, said in (
        (
            "elsewhere",
            "file:///no/such/machine/mlruns",
            "which cannot be written from here; start it with --artifacts-d",
        ),
        ("path", "/no/such/machine/mlruns", "which cannot be written from here"),
        ("bucket", "s3://a-bucket/mlruns", "for which the package of boto3 is to be installed"),
    ):
        experiments.create_experiment(name, location)
        with pytest.raises(Exception, match=said) as raised:
            prepare_store(StoreSettings(uri=uri, experiment=name))
        assert getattr(raised.value, "exit_code", 0) == 2
        assert str(raised.value).startswith(f"tracking.uri: the server at {uri} keeps artifacts in ")


def check_that_it_says_what_waits(there: Place) -> None:
    (line,) = [each for each in there.said().splitlines() if "The tracking store is away" in each]
    assert "deliver them with `kexp sync " in line


def check_rows(store: StoreSettings, trials: int, models: int) -> None:
    """Each run once and finished, with every epoch of every metric once, and each model ready."""
    views = list(search(store))
    runs: list[RunView] = [view for view in views if trials == 1 or view.parent_run_id is not None]
    assert Counter(view.status for view in views) == {"FINISHED": trials + (trials > 1)}
    assert len({view.params["seed"] for view in runs}) == len(runs) == trials
    for view in runs:
        for metric in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert [point.step for point in metric_history(store, view.run_id, metric)] == [*range(1, EPOCHS + 1)]
        assert view.metrics["loss"] == metric_history(store, view.run_id, "loss")[-1].value
    logged = client_for(store.uri or "").search_logged_models([prepare_store(store)])
    assert Counter(each.status.value for each in logged) == {"READY": models}
    assert sum(len(view.model_ids) for view in runs) == models
