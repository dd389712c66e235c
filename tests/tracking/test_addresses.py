"""Runs found by MLflow's own addresses, in real stores that MLflow's client filled; and the best trial of a sweep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from distant import distant
from servers import Server

from kexp.errors import ConfigError, StoreError, UnknownNameError
from kexp.tracking import RunRecord, StoreSettings, find_run, find_sweep, log_finished_runs, resolve_uri
from kexp.tracking.store.client import client_for
from kexp.tracking.store.model_registry import Registration, register, version_named


def run_with_model(settings: StoreSettings, folder: Path, *, ours: bool = True) -> tuple[str, str]:
    """A finished run with a logged model: their ids."""
    tags = {"kexp.fingerprint": "f"} if ours else {}
    run_id = log_finished_runs(settings, [RunRecord("modest-model", "FINISHED", 1, 2, tags=tags)])[0]
    client = client_for(resolve_uri(settings))
    experiment = client.get_run(run_id).info.experiment_id
    made = client.create_logged_model(experiment, "model", source_run_id=run_id)
    return run_id, str(made.model_id)


@pytest.fixture(params=["database", "server"])
def store(request: pytest.FixtureRequest, settings: StoreSettings) -> Iterator[StoreSettings]:
    if request.param == "database":
        yield settings
    else:
        server: Server = request.getfixturevalue("server")
        yield StoreSettings(uri=server.address, experiment="addresses")


def test_addresses_mean_the_run_that_they_mean_in_mlflow(store: StoreSettings, tmp_path: Path) -> None:
    uri = resolve_uri(store)
    first, model = run_with_model(store, tmp_path)
    second, newer = run_with_model(store, tmp_path)
    client = client_for(uri)
    for model_id, run_id in ((model, first), (newer, second)):
        register(client, uri, Registration("it's mine", description="**good**", tags={"a": "b"}), model_id, run_id)
    register(client, uri, Registration("it's mine", "champion"), model, first)
    assert len(client.search_model_versions('name = "it\'s mine"')) == 2, "what is there is not made again"
    version = client.get_model_version("it's mine", "1")
    assert (version.description, version.tags, version.run_id) == ("**good**", {"a": "b"}, first)
    for address, meant in {
        f"runs:/{first}": first,
        f"runs:/{first}/model": first,
        f"models:/{newer}": second,
        "models:/it's mine/2": second,
        "models:/it's mine@champion": first,
        "models:/it's mine/latest": second,
    }.items():
        assert find_run(store, address).run_id == meant, address
    for address, said in {
        "models:/it's min/1": 'RUN: there is no registered model "it\'s min"',
        "models:/it's mine/7": "RUN: model it's mine has no version '7'; there are: 1, 2",
        "models:/it's mine@champio": "RUN: model it's mine has no alias 'champio'; did you mean 'champion'?",
        "models:/it's mine": "RUN: an address is runs:/ID, models:/NAME/VERSION,",
        f"models:/m-{'0' * 32}": "RUN: there is no logged model",
        f"runs:/{'0' * 32}": "RUN: there is no run '000",
        "runs:/abc": "RUN: an address is runs:/ID",
    }.items():
        with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
            find_run(store, address)


def test_a_model_of_another_program_is_none_of_ours(settings: StoreSettings, tmp_path: Path) -> None:
    client, uri = client_for(resolve_uri(settings)), resolve_uri(settings)
    run_id, model = run_with_model(settings, tmp_path, ours=False)
    register(client, uri, Registration("other"), model, run_id)
    client.create_registered_model("loose")
    client.create_model_version("loose", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^RUN: models:/other/1 is a model of another program"):
        find_run(settings, "models:/other/1")
    with pytest.raises(ConfigError, match=r"^RUN: models:/loose/1 comes from no run, so it is no model of kexp's"):
        find_run(settings, "models:/loose/1")


def test_a_server_that_knows_no_aliases_is_told_as_one(server: Server, tmp_path: Path) -> None:
    settings = StoreSettings(uri=server.address, experiment="old server")
    run_id, model = run_with_model(settings, tmp_path)
    with distant(server.address, delay_s=0) as old:
        old.fault = lambda method, path: 404 if "alias" in path else None
        client = client_for(old.address)
        told = r"setting an alias failed: the MLflow server at .* is too old to know it; models:/aged/1 is registered"
        with pytest.raises(StoreError, match=told):
            register(client, old.address, Registration("aged", "champion"), model, run_id)
        with pytest.raises(
            StoreError, match=r"reading an alias failed: the MLflow server at .* is too old to know it$"
        ):
            find_run(StoreSettings(uri=old.address), "models:/aged@champion")
        assert find_run(StoreSettings(uri=old.address), "models:/aged/1").run_id == run_id
        newest = version_named(client, old.address, "aged", None)
        assert newest is not None
        assert str(newest.version) == "1"


def test_the_best_trial_of_a_sweep_is_found_by_the_sweeps_name_id_and_latest(settings: StoreSettings) -> None:
    best = log_finished_runs(settings, [RunRecord("rates-3", "FINISHED", 1, 2)])[0]
    tags = {"kexp.sweep.name": "rates", "kexp.sweep.best": best}
    sweep = log_finished_runs(settings, [RunRecord("rates", "FINISHED", 3, 4, tags=tags)])[0]
    log_finished_runs(settings, [RunRecord("none", "FINISHED", 1, 2, tags={"kexp.sweep.name": "none"})])
    for ref in ("best:rates", f"best:{sweep}", f"best:{sweep[:9]}", "best:latest", f"best:runs:/{sweep}"):
        assert find_run(settings, ref).run_id == best, ref
    assert find_sweep(settings, "rates").run_id == find_sweep(settings, "latest").run_id == sweep
    with pytest.raises(UnknownNameError, match=r"^RUN: there is no sweep or run 'rate'; did you mean 'rates'"):
        find_run(settings, "best:rate")
    with pytest.raises(ConfigError, match=r"^RUN: sweep none has no best trial"):
        find_run(settings, "best:none")
    with pytest.raises(ConfigError, match=r"^RUN: rates-3 is a run and no sweep"):
        find_run(settings, f"best:{best}")
