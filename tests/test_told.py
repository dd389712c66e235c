"""What MLflow is told besides a run's own metrics: names, tags, files, rates, sizes, data, and a sweep's answer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

import kexp
from kexp.cli import main
from kexp.errors import ConfigError
from kexp.sweeps.api import SweepResult
from kexp.tracking import RunView, StoreSettings, find_run, list_artifacts, metric_history, resolve_uri, search
from kexp.tracking.store.client import client_for

ROWS, EPOCHS, STEPS = 60, 4, 3  # 60 rows: 12 to test, 10 to validate, 38 to train in batches of 16
COMMON = [
    "data=csv",
    "data.path=rows.csv",
    "data.target=kind",
    "model.hidden=[4]",
    f"trainer.epochs={EPOCHS}",
    "trainer.batch_size=16",
    "trainer.verbose=0",
    "save.formats=[h5]",
    "tracking.figures=false",
]
SCHEDULE = "optimizer.schedule={name: cosine_decay, decay_steps: 20}"


class Halving(keras.callbacks.Callback):
    """Changes the rate after the second epoch, and tells nobody."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if epoch == 1:
            self.model.optimizer.learning_rate = 0.0005


@dataclass(frozen=True)
class Told:
    """Runs that were told all that there is to tell, and a sweep, in one store."""

    folder: Path
    run: kexp.experiment.Result  # type: ignore[name-defined]
    sweep: SweepResult


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("told")
    random = np.random.default_rng(5)
    lines = [
        f"{a:.3f},{b:.3f},{'xyz'[row % 3]},{'no' if a + b < 0 else 'yes'}"
        for row, (a, b) in enumerate(random.normal(size=(ROWS, 2)))
    ]
    (folder / "rows.csv").write_text("\n".join(["long,wide,site,kind", *lines]))
    (folder / "notes").mkdir()
    (folder / "notes" / "why.md").write_text("why\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        asked = [
            "tracking.run_name=${optimizer.name}-${loss.name}-${optimizer.learning_rate}",
            "tracking.tags.team=vision",
            "tracking.tags={ticket: 12}",
            "tracking.description=**Which** rate?",
            "tracking.artifacts=[notes, rows.csv]",
            "tracking.system_metrics=true",
        ]
        run = kexp.run([*COMMON, SCHEDULE, *asked, "data.split=null"], folder="run")
        with redirect_stdout(io.StringIO()):
            sweep = kexp.sweep(
                {"optimizer.learning_rate": [0.01, 0.03], "seed": [1, 2]},
                [
                    *COMMON,
                    SCHEDULE,
                    *asked[:2],
                    *asked[3:5],
                    "sweep.name=rates",
                    "save.register=kinds",
                    "save.alias=new",
                ],
            )
        yield Told(folder, run, sweep)


@pytest.fixture
def view(told: Told, monkeypatch: pytest.MonkeyPatch) -> RunView:
    monkeypatch.chdir(told.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return find_run(StoreSettings(), told.run.run_id)


def rates(run_id: str) -> dict[int, float]:
    return {point.step: point.value for point in metric_history(StoreSettings(), run_id, "learning_rate")}


def cosine(rate: float) -> dict[int, float]:
    schedule = keras.optimizers.schedules.CosineDecay(rate, decay_steps=20)
    return {epoch: float(schedule(epoch * STEPS)) for epoch in range(1, EPOCHS + 1)}


def test_a_run_has_the_name_tags_description_and_files_that_were_asked_for(view: RunView) -> None:
    assert view.name == "adam-sparse_categorical_crossentropy-0.001"
    assert (view.tags["team"], view.tags["ticket"]) == ("vision", "12")
    assert not {"kexp.pid", "kexp.host", "kexp.heartbeat"} & view.tags.keys(), "they say something while it runs"
    assert {"artifacts/notes/why.md", "artifacts/rows.csv"} <= set(list_artifacts(StoreSettings(), view.run_id))
    assert view.metrics["system/system_memory_usage_megabytes"] > 0
    assert "kexp.stopped" not in view.tags


def test_a_run_is_described_by_its_text_its_result_its_data_its_model_and_its_command(
    view: RunView, told: Told
) -> None:
    given, outcome, facts = view.tags["mlflow.note.content"].split("\n\n")
    assert given == "**Which** rate?"
    assert f"test_accuracy {told.run.metrics['test_accuracy']:.4g}" in outcome
    assert f"after {EPOCHS} epochs" in outcome
    assert f"with {told.run.model.count_params():,} parameters" in facts
    assert "`rows.csv`" in facts
    for part in ("train", "validation", "test"):
        inputs = client_for(resolve_uri(StoreSettings())).get_run(view.run_id).inputs.dataset_inputs
        profile = next(each.dataset.profile for each in inputs if each.tags[0].value == part)
        assert f"{json.loads(profile)['num_rows']:,} {part}" in facts
    assert facts.splitlines()[-1].startswith("- Command: `kexp.run(['data=csv', ")


def test_parameters_that_say_nothing_are_not_logged_unless_they_were_written(view: RunView) -> None:
    assert {key for key, value in view.params.items() if value in ("null", "{}")} == {"data.split"}
    assert view.params["optimizer.schedule.decay_steps"] == "20"


def test_rate_time_steps_and_size_are_told(view: RunView, told: Told) -> None:
    assert rates(view.run_id) == pytest.approx(cosine(0.001))
    assert "learning_rate" not in told.run.history.columns()
    times = metric_history(StoreSettings(), view.run_id, "system/epoch_seconds")
    assert [point.step for point in times] == list(range(1, EPOCHS + 1))
    assert 0 < sum(point.value for point in times) <= told.run.duration_s
    assert int(view.params["model_parameters"]) == told.run.model.count_params()
    trained = sum(int(np.prod(weight.shape)) for weight in told.run.model.trainable_weights)
    assert int(view.params["model_trainable_parameters"]) == trained
    assert view.params["steps_per_epoch"] == str(STEPS)


def test_lanes_tell_their_rates_and_sizes_too(view: RunView, told: Told) -> None:
    views = {each.run_id: each for each in search(StoreSettings(), parent_run_id=told.sweep.run_id)}
    assert len(views) == 4
    for trial in told.sweep.trials:
        rate = trial.config["optimizer"]["learning_rate"]
        assert rates(trial.run_id) == pytest.approx(cosine(rate))
        there = views[trial.run_id]
        assert there.name == f"adam-sparse_categorical_crossentropy-{rate}"
        assert there.tags["team"] == "vision"
        assert there.params["model_parameters"] == view.params["model_parameters"]
        assert there.metrics["system/epoch_seconds"] > 0
        assert not [path for path in list_artifacts(StoreSettings(), trial.run_id) if path.startswith("artifacts")]
        assert set(trial.metrics) == {each + of for each in ("", "val_", "test_") for of in ("loss", "accuracy")}


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (
            "callbacks=[{name: reduce_lr_on_plateau, monitor: loss, patience: 1, min_delta: 9}]",
            [1e-3, 1e-3, 1e-4, 1e-5],
        ),
        ("callbacks=[test_told:Halving]", [1e-3, 5e-4, 5e-4, 5e-4]),
        ("callbacks=[]", []),
    ],
)
def test_a_rate_is_told_where_something_changes_it(view: RunView, callback: str, expected: list[float]) -> None:
    result = kexp.run([*COMMON, callback, "save=none"], folder=f"rates-{len(expected)}-{expected[1:2]}")
    assert list(rates(result.run_id).values()) == pytest.approx(expected)
    assert list(rates(result.run_id)) == [1, 2, 3, 4][: len(expected)]


def test_each_data_set_has_its_source_columns_profile_and_a_digest_of_its_own_rows(view: RunView, told: Told) -> None:
    client = client_for(resolve_uri(StoreSettings()))
    inputs = client.get_run(view.run_id).inputs.dataset_inputs
    parts = {each.tags[0].value: each.dataset for each in inputs}
    assert list(parts) == ["train", "validation", "test"]
    assert {each.name for each in parts.values()} == {"rows.csv"}
    assert len({each.digest for each in parts.values()}) == 3
    assert {each.source_type for each in parts.values()} == {"local"}
    assert json.loads(parts["test"].source) == {"uri": str(told.folder / "rows.csv")}
    assert json.loads(parts["test"].schema) == {
        "mlflow_colspec": [
            {"type": "double", "name": "long"},
            {"type": "double", "name": "wide"},
            {"type": "string", "name": "site"},
            {"type": "string", "name": "kind"},
        ]
    }
    sizes = {context: json.loads(each.profile) for context, each in parts.items()}
    assert sum(each["num_rows"] for each in sizes.values()) == ROWS
    assert all(sum(each["classes"].values()) == each["num_rows"] for each in sizes.values())
    again = kexp.run([*COMMON, "save=none", "trainer.epochs=1"], folder="again")
    other = kexp.run([*COMMON, "save=none", "trainer.epochs=1", "seed=9"], folder="other")
    digests = [
        [each.dataset.digest for each in client.get_run(run.run_id).inputs.dataset_inputs] for run in (again, other)
    ]
    assert digests[0] == [each.digest for each in parts.values()]
    assert not set(digests[0]) & set(digests[1])


def test_the_models_metrics_are_linked_to_the_data_that_they_were_measured_on(view: RunView, told: Told) -> None:
    client = client_for(resolve_uri(StoreSettings()))
    for run_id in (view.run_id, min(told.sweep.trials, key=lambda trial: trial.metrics["val_loss"]).run_id):
        inputs = client.get_run(run_id).inputs.dataset_inputs
        digests = {each.tags[0].value: each.dataset.digest for each in inputs}
        (model_id,) = find_run(StoreSettings(), run_id).model_ids
        logged = client.get_logged_model(model_id)
        assert logged.params["optimizer.name"] == find_run(StoreSettings(), run_id).params["optimizer.name"]
        linked = {metric.key: metric.dataset_digest for metric in logged.metrics}
        expected = {"": "train", "val_": "validation", "test_": "test"}
        assert linked == {
            "learning_rate": digests["train"],
            **{pre + of: digests[part] for pre, part in expected.items() for of in ("loss", "accuracy")},
        }


def test_a_sweeps_own_run_says_what_was_swept_what_came_out_best_and_why(view: RunView, told: Told) -> None:
    best = min(told.sweep.trials, key=lambda trial: trial.metrics["val_loss"])
    sweep = find_run(StoreSettings(), told.sweep.run_id)
    assert sweep.tags["kexp.sweep.best"] == best.run_id
    assert sweep.metrics == {f"best_{key}": value for key, value in best.metrics.items()}
    assert sweep.params == {
        "optimizer.learning_rate": "0.01,0.03",
        "seed": "1,2",
        "best_optimizer.learning_rate": str(best.config["optimizer"]["learning_rate"]),
        "best_seed": str(best.config["seed"]),
    }
    note = sweep.tags["mlflow.note.content"]
    assert note.startswith("**Which** rate?\n\n")
    assert told.sweep.comparison is not None
    assert told.sweep.comparison.conclusion().split(",")[0] in note.replace("\\", "")
    assert len([line for line in note.splitlines() if line.startswith("| ")]) >= 3
    assert {"artifacts/notes/why.md", "artifacts/rows.csv"} <= set(list_artifacts(StoreSettings(), sweep.run_id))
    for ref in ("best:rates", "models:/kinds@new", "models:/kinds/1"):
        assert find_run(StoreSettings(), ref).run_id == best.run_id
    assert len(client_for(resolve_uri(StoreSettings())).search_model_versions("name = 'kinds'")) == 1
    model = kexp.load_model("models:/kinds@new")
    assert model.count_params() == int(view.params["model_parameters"])


def test_a_sweep_is_shown_by_its_name_and_of_trials_of_one_name_the_ids_are_listed(
    view: RunView, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["show", "rates"])
    assert capsys.readouterr().out.startswith(f"run       rates  {told.sweep.run_id}\n")
    with pytest.raises(SystemExit, match="2"):
        main(["show", "adam-sparse_categorical_crossentropy-0.01"])
    told_of = capsys.readouterr().err
    assert "is the name of 2 runs" in told_of
    named = [trial.run_id[:8] for trial in told.sweep.trials if trial.config["optimizer"]["learning_rate"] == 0.01]
    assert len(named) == 2
    assert all(each in told_of for each in named)


def test_an_experiment_is_marked_as_model_development_unless_somebody_says_otherwise(
    view: RunView, settings_of_a_store: StoreSettings
) -> None:
    from kexp.tracking import prepare_store

    kind = "mlflow.experimentKind"
    client = client_for(resolve_uri(settings_of_a_store))
    theirs = client.create_experiment("theirs", tags={kind: "finetuning"})
    plain = client.create_experiment("plain")
    for name in ("theirs", "plain", "new"):
        prepare_store(StoreSettings(settings_of_a_store.uri, name))
    assert client.get_experiment(theirs).tags[kind] == "finetuning"
    assert client.get_experiment(plain).tags[kind] == "custom_model_development"
    assert client.get_experiment_by_name("new").tags[kind] == "custom_model_development"


@pytest.fixture
def settings_of_a_store(tmp_path: Path) -> StoreSettings:
    from kexp.tracking import prepare_store

    settings = StoreSettings(f"sqlite:///{tmp_path / 'kinds.db'}")
    prepare_store(settings)
    return settings


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "tracking.run_name=${optimizer.nam}",
            "tracking.run_name: there is no single value of the config 'optimizer.nam'; ",
        ),
        ("tracking.run_name=${optimizer}", "tracking.run_name: there is no single value of the config 'optimizer'"),
        ("tracking.run_name=' '", "tracking.run_name: must be a name, got ' '"),
        ("tracking.tags={a%: 1}", "tracking.tags: must have a name of 1 to 250 letters"),
        ("tracking.tags={kexp.x: 1}", "tracking.tags: must have another name, as kexp. begins those that kexp sets"),
        ("tracking.tags={x: [1, 2]}", "tracking.tags.x: must be one value, got [1, 2]"),
        (f"tracking.tags.x={'y' * 8001}", "tracking.tags.x: must have at most 8,000 characters, got 8,001"),
        (f"tracking.description={'y' * 8001}", "tracking.description: must have at most 8,000 characters, got 8,001"),
        (
            "tracking.artifacts=[nothing.md]",
            "tracking.artifacts: must be files and folders that exist, got 'nothing.md'",
        ),
        (
            "tracking.artifacts=[a/x, b/x]",
            "tracking.artifacts: must be of different names, but 'a/x' and 'b/x' are not",
        ),
        ("save.register=a/b", "save.register: must be a name of 1 to 256 characters without / and :, got 'a/b'"),
        ("save.alias=new", "save.alias: must be given with save.register=NAME"),
    ],
)
def test_what_cannot_be_told_is_refused_before_compute(workplace: Path, override: str, sentence: str) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "x").write_text("x")
    with pytest.raises(ConfigError) as error:
        kexp.run(["data=iris", override])
    assert str(error.value).startswith(sentence)
    assert not {"mlflow.db", "mlruns"} & {each.name for each in workplace.iterdir()}


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["save.model=false"], "save.model: must be true with save.register, got false"),
        (["save.formats=[json]"], "save.formats: must hold a format with a model or its weights for save.register"),
        (["tracking=none"], "save.register: must not be given with tracking=none, which has no registry"),
        (["save.alias=v2"], "save.alias: must be another name, as MLflow keeps latest and v1, v2, ... for itself"),
    ],
)
def test_what_cannot_be_registered_is_refused_before_compute(
    workplace: Path, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as error:
        kexp.run(["data=iris", "save.register=kinds", *overrides])
    assert str(error.value).startswith(sentence)
    with pytest.raises(ConfigError, match=r"must not be none with save.register"):
        kexp.sweep(["data=iris", "seed=1,2", "save.register=kinds", "save.keep=none"])
