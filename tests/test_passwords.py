"""A password in an address of a store: known to what connects, and in nothing that is shown or kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexp.build import restored
from kexp.config import compose, plain, prepare_overrides
from kexp.config.overrides.typed import compose_typed
from kexp.errors import ConfigError, without_passwords
from kexp.schema import check
from kexp.system.passwords import hide_password, restore_password
from kexp.tracking import StoreSettings, command_line, resolve_uri

ADDRESSES = [
    "http://me:{}@host:5000",
    "https://me:{}@host/prefix",
    "postgresql://me:{}@host/db",
    "postgresql+psycopg2://me:{}@127.0.0.1:5432/db?sslmode=require",
    "mysql+pymysql://me:{}@host/db",
    "http://:{}@host",
    "postgresql://host/db?user=me&password={}&sslmode=require",
]
PASSWORDS = ["secret", "se:cret", "se@cret", "s%40cret", "correct.horse-battery"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEXP_ADDRESSES", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEXP_ADDRESSES", "")


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("form", ADDRESSES)
def test_a_password_is_hidden_and_found_again(form: str, password: str) -> None:
    address = form.format(password)
    shown = resolve_uri(StoreSettings(uri=address))
    assert shown == form.format("***")
    assert restore_password(shown) == address
    assert resolve_uri(StoreSettings(uri=shown)) == shown
    assert without_passwords(f"cannot reach {address}: refused") == f"cannot reach {shown}: refused"


@pytest.mark.parametrize("address", ["http://host", "http://me@host", "sqlite:///a:b@c.db", "postgresql://me@host/db"])
def test_an_address_without_a_password_stays_as_it_is(address: str) -> None:
    assert hide_password(address) == restore_password(address) == address


@pytest.mark.parametrize("written", ["{}", "'{}'", '"{}"'])
@pytest.mark.parametrize("mark", ["", "+", "++"])
def test_overrides_lose_the_password_before_anybody_keeps_them(written: str, mark: str) -> None:
    address = "http://me:correct.horse-battery@host"
    overrides = [f"{mark}tracking.uri={written.format(address)}", "seed=3"]
    prepared = prepare_overrides(overrides)
    assert "horse" not in " ".join(prepared)
    config = compose(prepared, with_hydra=True)
    assert "horse" not in str(config)
    assert restore_password(config.tracking.uri) == address


def test_a_file_of_configs_loses_it_too_and_an_interpolation_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql://me:correct.horse-battery@host/db"
    monkeypatch.setenv("KEXP_TEST_ADDRESS", address)
    for name, text in (("written", address), ("named", "${oc.env:KEXP_TEST_ADDRESS}")):
        file = tmp_path / "experiment" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'# @package _global_\ntracking:\n  uri: "{text}"\n')
    assert "horse" not in str(compose(["experiment=written"], tmp_path, with_hydra=True))
    assert "oc.env" in str(compose(["experiment=named"], tmp_path, with_hydra=True))
    for name in ("written", "named"):
        experiment = check(plain(compose_typed([f"experiment={name}"], tmp_path)))
        assert "horse" not in str(experiment.as_dict())
        assert restore_password(experiment.tracking.uri or "") == address


def test_any_parameter_may_hold_an_address_with_a_password_and_components_get_it_whole(tmp_path: Path) -> None:
    whole = ["https://me:horse@host/a.csv", "https://me:horse@host/b.csv"]
    sweep = prepare_overrides([f"data.path={','.join(whole)}", f"data.drop=[{whole[0]},x]"])
    assert "horse" not in " ".join(sweep)
    assert [restore_password(each, "data.path") for each in sweep[0].partition("=")[2].split(",")] == whole
    query = "select * from postgres_scan('postgresql://me:horse@host/db', 'public', 'rows')"
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "rows.yaml").write_text(f'# @package _global_\ndata:\n  query: "{query}"\n')
    config = plain(compose_typed(["data=csv", "data.target=x", "experiment=rows", sweep[1]], tmp_path))
    node = check(config).data
    assert "horse" not in str(node.parameters) + str(config)
    built = restored(node)
    assert (built["query"], built["drop"]) == (query, [whole[0], "x"])


def test_an_address_whose_password_is_an_interpolation_is_resolved_and_then_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEXP_TEST_PASSWORD", "horse")
    (override,) = prepare_overrides(["data.path=https://me:${oc.env:KEXP_TEST_PASSWORD}@host/a.csv"])
    config = compose_typed(["data=csv", "data.target=x", override])
    assert "oc.env" in config._get_node("data")._get_node("path")._value()
    node = check(plain(config)).data
    assert node.parameters["path"] == "https://me:***@host/a.csv"
    assert restored(node)["path"] == "https://me:horse@host/a.csv"


def test_what_is_kept_finds_its_password_in_the_environment_or_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = "http://me:***@host:5000"
    with pytest.raises(
        ConfigError, match=r"the password of http://me:\*\*\*@host:5000 is not kept; set MLFLOW_TRACKING"
    ):
        restore_password(kept)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert restore_password(kept) == "http://host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000")
    assert restore_password(kept) == "http://me:secret@host:5000"
    assert command_line("sync", store=StoreSettings(uri=kept)) == "kexp sync"


def test_another_password_for_the_same_server_is_taken_at_once() -> None:
    from kexp.tracking.store.client import client_for

    for password in ("first", "second", "first"):
        shown = resolve_uri(StoreSettings(uri=f"http://me:{password}@host.invalid"))
        assert client_for(shown).tracking_uri == f"http://me:{password}@host.invalid"
