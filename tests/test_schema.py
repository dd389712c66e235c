"""Composed configs as typed experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kexp.config import compose, plain
from kexp.schema import check
from kexp.system.folders import conf_folder


def checked(*overrides: str) -> Any:
    return check(plain(compose(overrides)))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=sgd_nesterov", "schedule=none"],
        ["schedule=cosine_decay", "metrics=[accuracy,top_k_categorical_accuracy]", "loss=huber"],
        ["callbacks=[early_stopping]", "callbacks.early_stopping.patience=3"],
        [
            "model=sequential",
            "model.layers=[{name: Dense, units: 8, kernel_regularizer: {name: l2, l2: 0.1}}, Flatten]",
        ],
        ["experiment=diabetes"],
        ["tracking=none", "save=none"],
    ],
)
def test_a_checked_experiment_is_a_config_that_checks_to_itself(overrides: list[str]) -> None:
    experiment = checked(*overrides)
    assert check(experiment.as_dict()) == experiment


def test_lr_is_another_spelling_of_learning_rate() -> None:
    node = checked("optimizer=sgd", "optimizer.lr=0.5").optimizer
    assert node.parameters["learning_rate"] == 0.5
    assert "lr" not in node.as_dict()


def test_sgd_nesterov_is_the_founding_documents_example() -> None:
    node = checked("optimizer=sgd_nesterov").optimizer.as_dict()
    assert node["name"] == "sgd"
    assert (node["learning_rate"], node["decay"], node["momentum"], node["nesterov"]) == (0.01, 1e-6, 0.9, True)


def test_a_second_name_is_known_by_the_first() -> None:
    assert checked("loss=huber").loss == checked("loss=huber_loss").loss
    assert checked("loss=huber").as_dict()["loss"]["name"] == "huber_loss"


def test_several_metrics_stand_under_their_names() -> None:
    experiment = checked("metrics=[accuracy,top_k_categorical_accuracy]", "metrics.top_k_categorical_accuracy.k=3")
    assert list(experiment.metrics) == ["accuracy", "top_k_categorical_accuracy"]
    assert experiment.metrics["top_k_categorical_accuracy"].parameters["k"] == 3


def test_one_metric_can_stand_twice_under_keys_of_the_users() -> None:
    experiment = checked(
        "metrics=[]", "+metrics.top2={name: top_k_categorical_accuracy, k: 2}", "loss=categorical_hinge"
    )
    assert experiment.metrics["top2"].name == "top_k_categorical_accuracy"


def test_the_schedule_lands_in_the_optimizer() -> None:
    experiment = checked("schedule=exponential_decay", "optimizer.schedule.decay_rate=0.5")
    assert experiment.optimizer.common["schedule"].parameters["decay_rate"] == 0.5


def test_users_yaml_wins_over_the_registry(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "adam.yaml").write_text(yaml.safe_dump({"name": "adam", "learning_rate": 0.25}))
    config = plain(compose(["optimizer=adam"], config_dir=tmp_path))
    assert config["optimizer"]["learning_rate"] == 0.25


@pytest.mark.parametrize("file", sorted(p.relative_to(conf_folder()) for p in conf_folder().rglob("*.yaml")), ids=str)
def test_every_yaml_of_conf_composes(file: Path) -> None:
    group, name = file.parent.as_posix(), file.stem
    if group == ".":
        overrides = []
    elif group.startswith("hydra/"):
        overrides = [f"{group}={name}"]
    elif group in ("experiment", "sweep"):
        overrides = [f"{'+' if group == 'sweep' else ''}{group}={name}"]
    else:
        overrides = [f"{group}=[{name}]" if group in ("metrics", "callbacks") else f"{group}={name}"]
    assert check(plain(compose(overrides))).seed == 0
