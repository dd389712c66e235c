"""What stands at a server's address is said in one sentence, without the password, before anything is computed."""

from __future__ import annotations

import pytest
from distant import distant
from servers import Server

from kexp.errors import ConfigError, KexpError, StoreError
from kexp.tracking import StoreSettings, prepare_store

SAID = {
    401: (ConfigError, "refuses the user or the password (401); set MLFLOW_TRACKING_USERNAME"),
    403: (ConfigError, "refuses the user or the password (403); set MLFLOW_TRACKING_USERNAME"),
    404: (ConfigError, "is no MLflow server"),
    302: (ConfigError, "is no MLflow server"),
    500: (StoreError, "answers with an error (500)"),
    503: (StoreError, "answers with an error (503)"),
    "cut": (StoreError, "cannot be used: connection broken"),
    "hang": (StoreError, "cannot be used: it did not answer within 0.2 s"),
}


@pytest.mark.parametrize("fault", SAID)
def test_a_server_that_does_not_serve_is_named_with_its_reason(
    server: Server, fault: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kexp.tracking.store.server_check._PATIENCE_S", 0.2)
    kind, reason = SAID[fault]
    with distant(server.address, delay_s=0) as far:
        far.fault = lambda method, path: fault
        address = far.address.replace("http://", "http://me:secret@")
        with pytest.raises(KexpError) as raised:
            prepare_store(StoreSettings(uri=address, experiment=f"none-{fault}"))
    said = str(raised.value)
    assert type(raised.value) is kind
    assert reason in said
    assert said.startswith("tracking.uri: the server at http://me:***@127.0.0.1:")
    assert "secret" not in said
    assert "\n" not in said
