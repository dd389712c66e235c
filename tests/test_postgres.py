"""A store of many people: PostgreSQL behind MLflow's server, which asks for a password. Run by `nox -s postgres`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from urllib.parse import quote

import pytest
from outages import wait_until
from postgres import DATABASE_PASSWORD, Postgres, postgres
from servers import PASSWORD, USER, Server

from kexp.errors import without_passwords
from kexp.tracking import StoreSettings, search
from kexp.tracking.reading.histories import History, read_histories

pytestmark = pytest.mark.postgres

EPOCHS = 3
SMALL = ["data=iris", f"trainer.epochs={EPOCHS}", "save.formats=[weights]", "tracking.figures=false"]
LANES = ["-m", *SMALL, "hydra/launcher=fused", "save.keep=top:2"]
LOGIN = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def asking(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a password."""
    running = Server(tmp_path_factory.mktemp("asking"), database.uri, asks=True)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)


def start(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A `kexp` in `folder`, of this process's environment; what it says goes to `said.txt` there."""
    folder.mkdir(exist_ok=True)
    with open(folder / "said.txt", "w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "kexp", *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=said,
            stderr=said,
            text=True,
        )


def run(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    code = start(folder, *arguments, environment=environment).wait(560)
    said = (folder / "said.txt").read_text()
    assert code == 0, said
    return said


def histories(store: StoreSettings, folder: Path, seeds: int) -> dict[str, History]:
    """Of each trial, which is there once, the history; by its seed."""
    views = list(search(store))
    assert Counter(view.status for view in views) == {"FINISHED": len(views)}
    trials = [view for view in views if view.parent_run_id is not None]
    assert sorted(int(view.params["seed"]) for view in trials) == list(range(seeds))
    found = read_histories(store, [view.run_id for view in trials])
    return {view.params["seed"]: found[view.run_id] for view in trials}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, History]:
    """What 64 seeds come to in a file of SQLite: lanes give the same bits on one machine."""
    folder = tmp_path_factory.mktemp("sqlite")
    run(folder, *LANES, "seed=range(64)", "save.keep=none", environment={"MLFLOW_TRACKING_URI": ""})
    return histories(StoreSettings(uri=f"sqlite:///{folder / 'mlflow.db'}"), folder, 64)


@pytest.mark.parametrize(
    "wrong", [{"MLFLOW_TRACKING_PASSWORD": "wrong"}, {"MLFLOW_TRACKING_PASSWORD": "", "MLFLOW_TRACKING_TOKEN": "old"}]
)
def test_a_wrong_password_is_one_sentence_before_anything_is_computed(
    wrong: dict[str, str], asking: Server, tmp_path: Path
) -> None:
    for command in (SMALL, [*LANES, "seed=1,2"], ["compare", "none"]):
        environment = {"MLFLOW_TRACKING_URI": asking.address, **wrong}
        assert start(tmp_path, *command, environment=environment).wait(100) == 2
        (line,) = (tmp_path / "said.txt").read_text().splitlines()
        assert line.startswith(
            f"kexp: tracking.uri: the server at {asking.address} refuses the user or the password (401)"
        )


def test_a_run_and_what_is_done_with_it(asking: Server, tmp_path: Path) -> None:
    """Every command with the login variables; nothing that is left holds a password."""
    where = {"MLFLOW_TRACKING_URI": asking.address}
    run(tmp_path, *SMALL, environment=where)
    (tmp_path / "rows.csv").write_text("0,1,2,3\n5.1,3.5,1.4,0.2\n")
    for command in (["evaluate", "latest"], ["reproduce", "latest"], ["doctor"], ["sync"], ["ui"]):
        said = run(tmp_path, *command, environment=where)
        assert PASSWORD not in said
    assert_no_password(tmp_path, asking.artifacts)


@pytest.mark.parametrize("how", ["server", "database"])
def test_a_password_in_the_address_is_nowhere_else(
    how: str, asking: Server, database: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in LOGIN:
        monkeypatch.delenv(name)
    login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    address = database.uri if how == "database" else asking.address.replace("://", f"://{login}@")
    told = [f"tracking.uri={address}", f"tracking.experiment=address-{how}"]
    run(tmp_path / "run", *SMALL, *told)
    assert without_passwords(address) in run(tmp_path / "sweep", *LANES, "seed=range(2)", "sweep.name=secret", *told)
    again = ["secret", "--experiment", f"address-{how}"]
    run(tmp_path / "sweep", "resume", *again, environment={"MLFLOW_TRACKING_URI": address})
    shown = without_passwords(address)
    said = run(tmp_path / "sweep", "compare", *again, "--uri", shown, environment={"MLFLOW_TRACKING_URI": address})
    assert "val_loss" in said
    assert start(tmp_path / "sweep", "compare", *again, "--uri", shown).wait(60) == 2
    assert "is not kept; set MLFLOW_TRACKING_URI" in (tmp_path / "sweep" / "said.txt").read_text()
    assert_no_password(tmp_path, asking.artifacts)


def test_a_sweep_of_64_is_what_it_is_in_a_file(asking: Server, expected: dict[str, History], tmp_path: Path) -> None:
    store = StoreSettings(uri=asking.address, experiment="sixty-four")
    run(tmp_path, *LANES, "seed=range(64)", f"tracking.uri={asking.address}", f"tracking.experiment={store.experiment}")
    assert histories(store, tmp_path, 64) == expected
    assert sum(len(view.model_ids) for view in search(store)) == 2


def test_two_sweeps_at_once_into_one_experiment(asking: Server, expected: dict[str, History], tmp_path: Path) -> None:
    store = StoreSettings(uri=asking.address, experiment="two-at-once")
    told = [*LANES, f"tracking.uri={asking.address}", f"tracking.experiment={store.experiment}"]
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda half: run(tmp_path / half[0], *told, half[1]),
                [("a", "seed=range(32)"), ("b", "seed=range(32,64)")],
            )
        )
    assert histories(store, tmp_path, 64) == expected
    assert sum(len(view.model_ids) for view in search(store)) == 4


@pytest.mark.parametrize("away", ["the server", "PostgreSQL"])
def test_what_is_restarted_in_mid_sweep_loses_and_doubles_nothing(
    away: str, asking: Server, database: Postgres, expected: dict[str, History], tmp_path: Path
) -> None:
    store = StoreSettings(uri=asking.address, experiment=f"restarted {away}")
    told = [f"tracking.uri={asking.address}", f"tracking.experiment={store.experiment}"]
    process = start(tmp_path, *LANES, "seed=range(64)", *told)
    wait_until(lambda: "FINISHED  epoch" in (tmp_path / "said.txt").read_text(), process)
    stop, begin = (asking.kill, asking.start) if away == "the server" else (database.stop, database.start)
    stop()
    sleep(10)
    begin()
    assert process.wait(500) == 0, (tmp_path / "said.txt").read_text()
    assert histories(store, tmp_path, 64) == expected
    assert sum(len(view.model_ids) for view in search(store)) == 2


def assert_no_password(*folders: Path) -> None:
    """In no file below the folders, the server's artifacts and the tests' own files of what was said among them."""
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                for secret in (PASSWORD, quote(PASSWORD, safe=""), DATABASE_PASSWORD):
                    assert secret.encode() not in content, file
