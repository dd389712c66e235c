"""Runs of each kind of data, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from served_kinds import SMALL, Kind, answers_of, brought


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Kind]]:
    """Each kind's run, answered for; the working directory of the runs is beside `people.csv`."""
    import kexp
    from kexp.tracking import StoreSettings
    from kexp.tracking.store.client import client_for

    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.syspath_prepend(str(folder))
        kinds: dict[str, Kind] = {}
        for name, (overrides, requests, _) in brought(folder).items():
            result = kexp.run([*overrides, *SMALL], folder=f"outputs/{name}")
            client = client_for(StoreSettings(uri=f"sqlite:///{folder / 'mlflow.db'}").uri or "")
            run = client.get_run(result.run_id)
            place = client.get_logged_model(run.outputs.model_outputs[0].model_id).artifact_location
            kinds[name] = Kind(result.run_id, place, requests, {})
        apart = tmp_path_factory.mktemp("apart")
        told = answers_of([(kind.model, kind.requests) for kind in kinds.values()], apart)
        for kind, each in zip(kinds.values(), told, strict=True):
            kind.told = each
        yield kinds
