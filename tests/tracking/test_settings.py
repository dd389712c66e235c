"""Which addresses of stores there are, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexp.cli import main
from kexp.errors import ConfigError
from kexp.tracking import StoreSettings, resolve_uri
from kexp.tracking.settings import _SCHEMES


@pytest.mark.parametrize(
    "uri", ["nonsense://x", "htp://localhost:5000", "s3://bucket/x", "postgres://me:secret@h/db", "x:"]
)
def test_an_address_that_mlflow_does_not_know_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_uri(StoreSettings(uri=uri))
    said = str(caught.value)
    assert said.startswith("tracking.uri: must begin with one of sqlite, postgresql, mysql, mssql, http, https, file, ")
    assert said.endswith(f", got {uri.replace('secret', '***')!r}")


def test_the_environments_address_goes_by_its_name(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(ConfigError, match=r"^MLFLOW_TRACKING_URI: must begin with one of"):
        resolve_uri(StoreSettings())


@pytest.mark.parametrize("uri", ["http://h:1", "postgresql+psycopg2://h/db", "file:///tmp/x", "mlruns", "databricks"])
def test_other_addresses_stay_as_they_are(uri: str) -> None:
    assert resolve_uri(StoreSettings(uri=uri)) == uri


def test_the_home_folder_is_meant_by_its_sign() -> None:
    home = Path.home()
    assert resolve_uri(StoreSettings(uri="~/mlruns")) == str(home / "mlruns")
    assert resolve_uri(StoreSettings(uri="sqlite:///~/runs.db")) == f"sqlite:///{home / 'runs.db'}"


def test_the_schemes_are_mlflows() -> None:
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    assert set(_tracking_store_registry._registry) - {""} == set(_SCHEMES)


@pytest.mark.parametrize(
    "command", [[], ["-m", "seed=1,2", "hydra/launcher=serial"], ["plan", "--no-probe", "seed=1,2"]]
)
def test_it_is_said_before_anything_is_computed(
    workplace: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command, "data=iris", "tracking.uri=nonsense://x"])
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert said.startswith("kexp: tracking.uri: must begin with one of ")
    assert len(said.splitlines()) == 1
