"""`kexp promote` on runs that the store has: what the registry holds afterwards, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from finished_runs import Kexp

from kexp.tracking import RunRecord, StoreSettings, find_run, log_finished_runs, resolve_uri
from kexp.tracking.store.client import client_for

Told = Callable[..., tuple[int, str]]


@pytest.fixture
def models(workplace: Path) -> dict[str, str]:
    """Runs with a logged model each, by name; the better one is `good`, and `bare` has no model."""
    settings, ids = StoreSettings(), dict[str, str]()
    for name, accuracy in {"good": 0.9, "fair": 0.7, "bare": 0.5}.items():
        record = RunRecord(
            name,
            "FINISHED",
            1000,
            2000,
            params={"model.name": "mlp", "data.name": "iris", "optimizer.name": "adam", "loss.name": "huber"},
            metrics=[("test_accuracy", accuracy, 3, 1000), ("val_loss", 1 - accuracy, 3, 1000)],
            tags={"kexp.fingerprint": f"print of {name}", "kexp.version": "1"},
        )
        ids[name] = log_finished_runs(settings, [record])[0]
        client = client_for(resolve_uri(settings))
        if name != "bare":
            experiment = client.get_run(ids[name]).info.experiment_id
            made = client.create_logged_model(experiment, "model", source_run_id=ids[name])
            _link(client, ids[name], str(made.model_id))
    return ids


def _link(client: object, run_id: str, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(run_id, [LoggedModelOutput(model_id, 1)])  # type: ignore[attr-defined]


@pytest.fixture
def told(kexp_command: Kexp, capsys: pytest.CaptureFixture[str]) -> Told:
    def call(*arguments: str) -> tuple[int, str]:
        code = kexp_command(*arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def test_promote_registers_with_description_tags_and_lineage_and_moves_the_alias(
    models: dict[str, str], told: Told
) -> None:
    client = client_for(resolve_uri(StoreSettings()))
    code, said = told("promote", models["fair"], "iris", "--alias", "champion")
    assert code == 0
    assert said == f"promoted  fair ({models['fair'][:8]}) is models:/iris/1, models:/iris@champion\n"
    version = client.get_model_version_by_alias("iris", "champion")
    assert version.run_id == models["fair"]
    assert find_run(StoreSettings(), models["fair"]).model_ids[0] in version.source
    assert version.tags["kexp.fingerprint"] == "print of fair"
    assert version.tags["kexp.data"] == "iris"
    assert version.description == (
        "mlp on iris, trained by run fair (optimizer adam, loss huber).\n\n- test_accuracy: 0.7"
    )
    assert told("promote", models["good"], "iris", "--alias", "champion", "--if-better", "test_accuracy") == (
        0,
        "better    test_accuracy 0.9 of good, 0.7 of models:/iris/1\n"
        f"promoted  good ({models['good'][:8]}) is models:/iris/2, models:/iris@champion\n",
    )
    assert find_run(StoreSettings(), "models:/iris@champion").name == "good"
    assert told("promote", models["fair"], "iris", "--alias", "champion", "--if-better", "val_loss") == (
        1,
        "no better val_loss 0.3 of fair, 0.1 of models:/iris/2; nothing is promoted\n",
    )
    assert told("promote", models["fair"], "iris", "--if-better", "val_loss", "--direction", "maximize")[0] == 0
    assert len(client.search_model_versions("name = 'iris'")) == 2
    assert find_run(StoreSettings(), "models:/iris@champion").name == "good"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["good", "new", "--if-better", "val_loss"], "--if-better: there is no models:/new to compare to"),
        (
            ["good", "new", "--if-better", "val_loss", "--alias", "best"],
            "--if-better: there is no models:/new@best to compare to",
        ),
        (
            ["good", "new", "--if-better", "tst_accuracy"],
            "--if-better: there is no metric 'tst_accuracy'; did you mean",
        ),
        (["good", "a/b"], "NAME: must be a name of 1 to 256 characters without / and :, got 'a/b'"),
        (["good", " "], "NAME: must be a name"),
        (["good", "new", "--alias", "a b"], "--alias: must be of letters, digits, _ and -, got 'a b'"),
        (["good", "new", "--alias", "Latest"], "--alias: must be another name"),
        (["good", "new", "--alias", "v12"], "--alias: must be another name"),
        (["bare", "new"], "has no MLflow model; `kexp reproduce"),
        (["models:/nothing@champion", "new"], "RUN: there is no registered model 'nothing'"),
    ],
)
def test_promote_says_in_a_sentence_what_cannot_be_and_does_nothing(
    models: dict[str, str], told: Told, arguments: list[str], sentence: str
) -> None:
    code, said = told("promote", models.get(arguments[0], arguments[0]), *arguments[1:])
    assert code == 2
    assert sentence in said
    assert said.count("\n") == 1
    assert client_for(resolve_uri(StoreSettings())).search_registered_models() == []
