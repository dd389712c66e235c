"""A parameter that only some of the choices have is part of those trials alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexp.sweeps.sweep_command import opened_sweeper


def planned(*arguments: str) -> tuple[list[str], list[str]]:
    """Each trial's overrides that are not shared, and the lines about what was left out."""
    with opened_sweeper([*arguments, "hydra/launcher=serial"]) as (sweeper, swept):
        trials = sweeper.plan(swept)
        assert {trial.state for trial in trials} == {"WAITING"}, [trial.reason for trial in trials]
        return [" ".join(trial.overrides) for trial in trials], sweeper.left_out


def test_a_value_that_every_choice_takes_is_part_of_every_trial(workplace: Path) -> None:
    assert planned("optimizer=sgd,rmsprop", "optimizer.momentum=0.9") == (
        ["optimizer=sgd optimizer.momentum=0.9", "optimizer=rmsprop optimizer.momentum=0.9"],
        [],
    )


@pytest.mark.parametrize(
    ("arguments", "trials", "said"),
    [
        (
            ["optimizer=sgd,adam", "optimizer.momentum=0,0.9"],
            3,
            "optimizer.momentum is no parameter of optimizer=ad",
        ),
        (
            ["optimizer=adam,sgd", "optimizer.momentum=0.9"],
            2,
            "optimizer.momentum is no parameter of optimizer=adam",
        ),
        (["model=mlp,linear", "model.dropout=0.1,0.2,0.3"], 4, "model.dropout is no parameter of model=linear"),
        (["data=diabetes", "loss=huber,mean_squared_error", "loss.delta=1,2"], 3, "loss.delta is no parameter of"),
        (["schedule=none,cosine_decay", "optimizer.schedule.alpha=0.1,0.2"], 3, "optimizer.schedule.alpha is no"),
        (
            ["callbacks=[],[early_stopping]", "callbacks.early_stopping.patience=2,3"],
            3,
            "callbacks.early_stopping.patience is no parameter of callbacks=[]",
        ),
        (
            [
                "data=breast_cancer",
                "loss=binary_crossentropy",
                "metrics=[binary_accuracy],[auc]",
                "metrics.auc.num_thresholds=50,100",
            ],
            3,
            "metrics.auc.num_thresholds is no parameter of",
        ),
        (["data=iris,random", "data.rows=50,60", "seed=1,2"], 6, "data.rows is no parameter of data=iris"),
        (
            ["activation=relu,elu", "activation.alpha=0.5,1"],
            3,
            "activation.alpha is no parameter of activation=relu",
        ),
        (
            ["experiment=diabetes,digits_cnn", "model.filters=[4],[8]"],
            3,
            "model.filters is no parameter of experim",
        ),
        (
            ["model=mlp,linear", "activation=relu,tanh"],
            3,
            "activation has no effect with model=linear; those trials run without it",
        ),
        (["model=mlp,linear", "activation=elu", "activation.alpha=0.5,1", "seed=1,2"], 6, "activation has no effect"),
    ],
)
def test_a_choice_without_the_parameter_is_run_once(
    workplace: Path, arguments: list[str], trials: int, said: str
) -> None:
    found, lines = planned(*arguments)
    assert len(found) == len(set(found)) == trials
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_trials_that_were_asked_for_twice_stay_two(workplace: Path) -> None:
    assert len(planned("optimizer=sgd,adam", "optimizer.learning_rate=0.1,0.1")[0]) == 4


def test_an_activation_that_no_model_takes_is_the_error(workplace: Path) -> None:
    with opened_sweeper(["model=linear", "activation=elu,tanh", "hydra/launcher=serial"]) as (sweeper, swept):
        reasons = {trial.reason for trial in sweeper.plan(swept)}
    assert reasons == {"activation: must be left out with model=linear, which does not take it"}


def test_a_parameter_that_no_choice_has_is_the_error(workplace: Path) -> None:
    with opened_sweeper(["optimizer=sgd,adam", "optimizer.momentm=0.9", "hydra/launcher=serial"]) as (sweeper, swept):
        reasons = [trial.reason for trial in sweeper.plan(swept)]
    assert "there is no parameter of optimizer sgd 'momentm'; did you mean 'momentum'?" in reasons[0]
