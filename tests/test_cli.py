"""The command line's words for what is wrong: one sentence, exit code 2, nothing computed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kexp.cli import main
from kexp.config import compose, plain
from kexp.schema import SETTINGS, check


def sentence(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """What a refused command line says."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert end.value.code == code, captured.err
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0].removeprefix("kexp: ")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer=adm", "optimizer: there is no optimizer 'adm'; did you mean 'adam'?"),
        ("loss=hubber_los", "loss: there is no loss 'hubber_los'; did you mean 'huber_loss'?"),
        ("metrics=[acuracy]", "metrics: there is no metric 'acuracy'; did you mean 'accuracy'?"),
        ("data=digit", "data: there is no data 'digit'; did you mean 'digits'?"),
        ("model=mlpp", "model: there is no model 'mlpp'; did you mean 'mlp'?"),
        ("activation=rellu", "activation: there is no activation 'rellu'; did you mean 'relu'?"),
        ("schedule=cosine_deca", "schedule: there is no schedule 'cosine_deca'; did you mean 'cosine_decay'?"),
        ("callbacks=[early_stop]", "callbacks: there is no callback 'early_stop'; did you mean 'early_stopping'?"),
        ("save.formats=[h6]", "save.formats: there is no format 'h6'; did you mean 'h5'?"),
        ("optimzer=adam", "optimzer: there is no key 'optimzer'; did you mean 'optimizer'?"),
        (
            "optimizer.lerning_rate=1",
            "optimizer.lerning_rate: there is no parameter of optimizer adam 'lerning_rate'; "
            "did you mean 'learning_rate'?",
        ),
        ("trainer.epocs=3", "trainer.epocs: there is no parameter of trainer 'epocs'; did you mean 'epochs'?"),
        ("+fooo=3", "fooo: there is no key 'fooo'"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate: must be greater than 0, got -1"),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate: must be a number, got 'fast'"),
        ("trainer.epochs=0", "trainer.epochs: must be at least 1, got 0"),
        ("trainer.class_weight=balancd", "trainer.class_weight: must be balanced or a mapping or null, got 'balancd'"),
        ("trainer.checkpoint=maybe", "trainer.checkpoint: must be auto or true or false, got 'maybe'"),
        ("trainer.steps_per_execution=0", "trainer.steps_per_execution: must be at least 1, got 0"),
        ("trainer.verbose=3", "trainer.verbose: must be one of 0, 1, 2, got 3"),
        ("seed=-1", "seed: must be at least 0, got -1"),
        ("backend=tensorflo", "backend: must be one of tensorflow, jax, torch, got 'tensorflo'"),
        ("data.test_split=1.5", "data.test_split: must be at least 0 and"),
        ("trainer.validation_split=-0.1", "trainer.validation_split: must be at least 0 and less than 1, got -0.1"),
        ("data.feed=nump", "data.feed: must be one of numpy, tfdata, got 'nump'"),
        ("model.hidden=[32,0]", "model.hidden[1]: must be at least 1, got 0"),
        ("model.dropout=1.0", "model.dropout: must be at least 0 and less than 1, got 1.0"),
        ("tracking.uri=sqlite:////proc/none/mlflow.db", "tracking.uri: cannot write to /proc/none"),
        ("tracking.uri=http://127.0.0.1:9", "tracking.uri: cannot reach the MLflow server at http://127.0.0.1:9"),
        ("optimizer=not_there:Thing", "optimizer=not_there:Thing: not_there:Thing of reference cannot be imported"),
        (
            "optimizer.learning_rate=[",
            "optimizer.learning_rate: the bracket [ is not closed, got [; as one text, in quotes: ",
        ),
        ("optimizer=3", "optimizer: must be the name of an optimizer, got 3"),
        ("trainer=true", "trainer: must be the name of an option, got true"),
        ("callbacks=null", "callbacks: must be names of callbacks, got null; callbacks=[] is none"),
        ("sweep=learning_rates", "sweep: has no choice yet; write +sweep=..."),
        (
            "optimizer=[adam,sgd]",
            "optimizer: must be one optimizer; several are a sweep, -m optimizer=A,B, got [adam, sgd]",
        ),
        ("=3", "'=3' is not an override; write KEY=VALUE"),
        ("epochs=5", "epochs: there is no key 'epochs'; did you mean trainer.epochs=5?"),
        ("lr=0.1", "lr: there is no key 'lr'; did you mean optimizer.lr=0.1?"),
        ("trainer.lr=0.1", "trainer.lr: there is no parameter of trainer 'lr'; did you mean optimizer.lr=0.1?"),
        ("epoch=5", "epoch: there is no key 'epoch'; did you mean 'trainer.epochs'?"),
        (
            "patience=3",
            "patience: there is no key 'patience'; it is a parameter of callbacks early_stopping or reduce_lr_on_plat",
        ),
        ("sweep.folds=3", "sweep.folds: applies to a sweep only; write kexp -m sweep.folds=3, in Python kexp.sweep"),
        ("adam=true", "adam: there is no key 'adam'; it is an option: optimizer=adam"),
        ("digits_cnn=1", "digits_cnn: there is no key 'digits_cnn'; it is an option: experiment=digits_cnn"),
        ("optimizer.adam", "'optimizer.adam' is not an override; write optimizer=adam"),
        ("optimizer/adam", "'optimizer/adam' is not an override; write optimizer=adam"),
        ("optimizer/adam=1", "optimizer/adam: there is no such group; write optimizer=adam"),
        (
            "optimizer.sgd=0.1",
            "optimizer.sgd: there is no parameter of optimizer adam 'sgd'; sgd is chosen by optimizer=sgd",
        ),
        ("optimizer.name=sgd", "optimizer.name: is chosen by its group; write optimizer=sgd"),
        ("trainer.epochs", "'trainer.epochs' is not an override; write trainer.epochs=VALUE"),
        ("optimizer: adam", "'optimizer: adam' is not an override; write optimizer=adam"),
        ("optimizer = adam", "'optimizer = adam' is not an override; write optimizer=adam, without spaces"),
        ("+trainer.epochs=3", "trainer.epochs: is there already; write trainer.epochs=3, without a plus"),
        ("++optimizer=sgd", "optimizer: has a choice already; write optimizer=..., without a plus"),
        (
            "optimizer.momentum=0.9",
            "optimizer.momentum: there is no parameter of optimizer adam 'momentum'; it is a parameter of sgd, ",
        ),
        (
            "loss={delta: 3}",
            "loss.delta: there is no parameter of loss auto 'delta'; it is a parameter of huber_loss, chosen by loss=",
        ),
        ("trainer={epocs: 3}", "trainer.epocs: there is no parameter of trainer 'epocs'; did you mean 'epochs'?"),
        ("metrics.auc.curve=PR", "metrics.auc: auc is not chosen; choose it by metrics=[auto,auc]"),
        ("optimizer.schedule.decay_steps=3", "optimizer.schedule: has no choice yet; write schedule=NAME"),
        ("schedule.decay_steps=3", "schedule.decay_steps: its key is optimizer.schedule.decay_steps"),
        ("layer=Dense", "layer: there is no layer by itself; it is chosen in model.layers, with model=sequential"),
        ("seed.x=3", "seed.x: there is no such key; seed is a value, and has no keys of its own"),
        ("optimizer@mine=adam", "optimizer@mine: there is one optimizer; write optimizer=adam"),
        ("experiment=digit", "experiment: there is no experiment 'digit'; did you mean 'digits_cnn'?"),
        ("experiment={name: digits}", "experiment: must be the name of an option, got {name: digits}; there are: br"),
        ("tracking=sqlite:///x.db", "tracking: there is no tracking 'sqlite:///x.db'; there are: mlflow, none"),
        ("~metrics", "metrics: cannot be removed; metrics=[] is none"),
        (
            "optimizer=adam,sgd",
            "optimizer: takes one value here, got adam,sgd; a sweep over them is kexp -m optimizer=adam,sgd",
        ),
        (
            "model.hidden=3,4",
            "model.hidden: takes one value here, got 3,4; a sweep over them is kexp -m model.hidden=3,4; one list is ",
        ),
        ("+optimizer=sgd", "optimizer: has a choice already; write optimizer=..., without a plus"),
        ("~seed", "Interpolation key 'seed' not found"),
        ("tracking.experiment=", "tracking.experiment: must be a name, got ''"),
        ("save.keep=top:0", "save.keep: must be all, best, none or top:N with N at least 1, got 'top:0'"),
        (
            "metrics.my_parts:drift.scale=2",
            "metrics.my_parts:drift.scale: a key has no colon; write the name behind the colon alone: "
            "metrics.drift.scale",
        ),
    ],
)
def test_a_bad_override_gets_one_sentence(
    workplace: Path, capsys: pytest.CaptureFixture[str], override: str, expected: str
) -> None:
    code = 1 if override.startswith("tracking.uri") else 2
    assert sentence(capsys, override, code=code).startswith(expected)
    assert not (workplace / "mlflow.db").exists() or override.startswith("tracking")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["data=diabetes", "loss=categorical_crossentropy"],
            "loss: categorical_crossentropy is for a classification, but the data is a regression",
        ),
        (
            ["loss=sparse_categorical_crossentropy", "metrics=[categorical_accuracy]"],
            "metrics: categorical_accuracy wants one-hot targets, but loss=sparse_categorical_crossentropy trains on "
            "class indices; choose metrics=[sparse_categorical_accuracy] or loss=categorical_crossentropy",
        ),
        (["loss=ctc"], "loss: ctc wants several labels a row, shape (rows, labels), but the data has one target a row"),
        (["data=diabetes", "metrics=[accuracy]"], "metrics: accuracy is for a classification, but the data is a regr"),
        (["data=csv", "data.path=none.csv", "data.target=y"], "data.path: no such file 'none.csv'"),
        (["data=csv"], "data.path: must be given"),
        (
            ["callbacks=[early_stopping]", "callbacks.early_stopping.monitor=val_acuracy"],
            "callbacks.early_stopping.monitor: there is no metric 'val_acuracy'; did you mean 'val_accuracy'?",
        ),
        (
            ["callbacks=[early_stopping]", "trainer.validation_split=0"],
            "callbacks.early_stopping.monitor: there is no metric 'val_loss'; did you mean 'loss'?",
        ),
        (
            ["callbacks=[early_stopping]", "callbacks.early_stopping.mode=up"],
            "callbacks.early_stopping.mode: must be one of auto, min, max, got 'up'",
        ),
        (["model=linear", "activation=tanh"], "activation: must be left out with model=linear, which does not take it"),
        (["activation=glu", "model.hidden=[33]"], "model: glu halves axis -1, whose size must be even, got 33"),
        (["schedule=cosine_decay", "optimizer.decay=0.1"], "optimizer.decay: must be 0 with a schedule"),
        (["backend=jax", "save.formats=[tf_checkpoint]"], "save.formats: tf_checkpoint needs backend=tensorflow"),
    ],
)
def test_what_does_not_go_together_gets_one_sentence_that_says_what_to_choose(
    workplace: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], expected: str
) -> None:
    assert sentence(capsys, *overrides).startswith(expected)


EPOCS = "trainer.epocs: there is no parameter of trainer 'epocs'; did you mean 'epochs'?"
RATE = "optimizer.lerning_rate: there is no parameter of optimizer adam 'lerning_rate'; did you mean 'learning_rate'?"
OPTUNA = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2"]
SWEEPS = [
    (["trainer.epocs=1", "optimizer.learning_rate=0.1,0.2"], EPOCS),
    (["trainer.epocs=1", "optimzer=sgd,adam"], EPOCS),
    (["optimizer.lerning_rate=0.1,0.2"], RATE),
    (["optimzer=sgd,adam"], "optimzer: there is no key 'optimzer'; did you mean 'optimizer'?"),
    (["optimizer=adm", "seed=1,2"], "optimizer: there is no optimizer 'adm'; did you mean 'adam'?"),
    (["optimizer=adm,rmsprp"], "optimizer: there is no optimizer 'rmsprp'; did you mean 'rmsprop'?"),
    (["seed=1,2", "hydra/launcher=proceses"], "there is no launcher 'proceses'; did you mean 'processes'?"),
    (["seed=1,2", "hydra/sweeper=optun"], "there is no sweeper 'optun'; did you mean 'optuna'?"),
    (
        ["seed=1,2", "hydra.launcher.n_worker=3"],
        "there is no parameter of hydra.launcher 'n_worker'; did you mean 'n_workers'?",
    ),
    (
        ["seed=1,2", "hydra/launcher=processes", "hydra.launcher.n_workers=-1"],
        "hydra.launcher.n_workers: must be a whole number, at least 1, got -1",
    ),
    (
        ["seed=1,2", "hydra/launcher=processes", "hydra.launcher.memory_limit_mb=no"],
        "memory_limit_mb: must be a number",
    ),
    (["seed=1,2", "sweep.objective=val_acuracy"], "there is no metric 'val_acuracy'; did you mean 'val_accuracy'?"),
    (["seed=1,2", "save.keep=top"], "save.keep: must be all, best, none or top:N with N at least 1, got 'top'"),
    (["sweep.seeds=0"], "sweep.seeds: must be at least 1, got 0"),
    (["+sweep=learning_rate"], "sweep: there is no sweep 'learning_rate'; did you mean 'learning_rates'?"),
    (["seed=range(0)"], "seed: the sweep over it has no values"),
    (["seed=range(0,3,0)"], "seed: the step of a range must not be 0"),
    (["optimizer.learning_rate=interval(0.1,1)"], "a grid cannot list the values of an interval"),
    ([*OPTUNA, "optimizer=sgd,adam", "trainer.epocs=1"], EPOCS),
    ([*OPTUNA, "optimizer.lerning_rate=interval(0.1,1)"], RATE),
    ([*OPTUNA, "optimizer=sgd,adm"], "optimizer: there is no optimizer 'adm'; did you mean 'adam'?"),
    ([*OPTUNA, "optimizer=sgd,adam", "hydra.sweeper.sampler=tpee"], "no sampler 'tpee'; did you mean 'tpe'?"),
    ([*OPTUNA, "optimizer=sgd,adam", "hydra.sweeper.pruner=medain"], "no pruner 'medain'; did you mean 'median'?"),
    ([*OPTUNA, "optimizer=sgd,adam", "sweep.objective=val_los"], "no metric 'val_los'; did you mean 'val_loss'?"),
    ([*OPTUNA, "optimizer=sgd"], "the sweep has no axis to search over"),
]


@pytest.mark.parametrize(("overrides", "expected"), SWEEPS)
@pytest.mark.parametrize("command", ["-m", "plan"])
def test_a_bad_sweep_gets_one_sentence_before_anything_runs(
    workplace: Path, capsys: pytest.CaptureFixture[str], command: str, overrides: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, *overrides])
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert expected in captured.out + captured.err
    assert len(captured.err.splitlines()) == (0 if captured.out else 1)  # the plan lists what is invalid
    assert not (workplace / "mlflow.db").exists()
    assert not (workplace / "multirun").exists()


def test_yaml_that_cannot_be_a_config_is_told_with_its_key(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "sweep").mkdir()
    (workplace / "sweep" / "mine.yaml").write_text("# @package _global_\nhydra: {sweeper: {params: {null: 1}}}\n")
    said = sentence(capsys, "-m", "+sweep=mine", f"--config-dir={workplace}")
    assert said == "Incompatible key type 'NoneType'; full_key: hydra.sweeper.params"


def test_two_mistakes_at_once_still_get_the_nearest_name(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence(capsys, "trainer.epocs=1", "optimizer.lerning_rate=1") == EPOCS


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epochs", "5"], "there is no flag '--epochs'; did you mean trainer.epochs=5?"),
        (["--batch-size=32"], "there is no flag '--batch-size=32'; did you mean trainer.batch_size=32?"),
        (["--optimizer", "adam"], "there is no flag '--optimizer'; write optimizer=adam"),
        (["seed=1", "optimizer", "=", "adam"], "'optimizer' is not an override; write optimizer=adam"),
        (["optimizer=", "adam"], "'optimizer=' is not an override; write optimizer=adam"),
        (["optimizer:", "adam"], "'optimizer:' is not an override; write optimizer=adam"),
        (["--cfgg"], "there is no flag '--cfgg'; did you mean '--cfg'?"),
        (["--cfg", "jobb"], "argument --cfg/-c: invalid choice: 'jobb' (choose from 'job', 'hydra', 'all'); see"),
        (["seed=1", "--config-dir"], "argument --config-dir/-cd: expected one argument; see"),
        (["plan", "--prob"], "unrecognized arguments: --prob; see `kexp plan --help`"),
        (["resume"], "the following arguments are required: SWEEP; see `kexp resume --help`"),
        (["compare", "--form"], "argument --format: expected one argument; see `kexp compare --help`"),
        (["show"], "the following arguments are required: GROUP; see `kexp show --help`"),
        (["plugin", "neww"], "argument new | check: invalid choice: 'neww' (choose from 'new', 'check'); see"),
    ],
)
def test_a_bad_flag_gets_one_sentence(
    workplace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert sentence(capsys, *arguments).startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["adam"], "there is no command 'adam'; it is an option: optimizer=adam"),
        (["optimizer", "=", "adam"], "there is no command 'optimizer'; write optimizer=adam"),
        (["epochs", "5"], "there is no command 'epochs'; did you mean trainer.epochs=5?"),
        (["train", "seed=3"], "there is no command 'train'; to train, write overrides alone: kexp seed=3"),
        (["evaluat", "latest"], "there is no command 'evaluat'; did you mean 'evaluate'?"),
        (["components", "optimzer"], "GROUP: there is no group 'optimzer'; did you mean 'optimizer'?"),
        (["show", "loss", "hubber"], "NAME: there is no loss 'hubber'; did you mean 'huber'?"),
        (["show", "loss"], "NAME: must be given, one of those that `kexp components loss` lists"),
        (["show", "tranier"], "GROUP: there is no group or run 'tranier'; did you mean 'trainer'?"),
    ],
)
def test_a_bad_command_gets_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert sentence(capsys, *arguments) == expected


def test_debug_shows_the_traceback(workplace: Path) -> None:
    from kexp.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        main(["optimizer=adm", "--debug"])


def test_flags_may_stand_anywhere(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["optimizer=lion", "--cfg", "job", "seed=3"])
    out = capsys.readouterr().out
    assert not end.value.code
    assert "name: lion" in out
    assert "seed: 3" in out


def test_help_names_every_command_and_group(capsys: pytest.CaptureFixture[str]) -> None:
    from kexp.commands import COMMANDS
    from kexp.registry.groups import GROUPS

    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(word in out for word in (*COMMANDS, *GROUPS, "--config-dir", "--debug"))


def test_components_lists_with_package_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["components", "optimizer"])
    adam = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["adam"])
    assert adam.split()[1] == "kexp"
    assert adam.endswith("Optimizer that implements the Adam algorithm.")


def test_show_tells_parameters_defaults_and_second_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["show", "loss", "huber"])
    out = capsys.readouterr().out
    assert "names: huber, huber_loss" in out
    assert "delta" in out
    assert "1.0" in out


@pytest.mark.parametrize("node", SETTINGS)
def test_show_tells_each_setting_with_its_default_its_rule_and_what_it_does(
    capsys: pytest.CaptureFixture[str], node: str
) -> None:
    with pytest.raises(SystemExit):
        main(["show", node])
    told = re.findall(r"^  (\w+)=(.*)  \((.+)\)\n      ([A-Z0-9`].*\.)$", capsys.readouterr().out, re.MULTILINE)
    defaults = check(plain(compose([]))).as_dict()[node]
    assert [name for name, *_ in told] == list(defaults)
    assert {name: yaml.safe_load(default) for name, default, *_ in told} == defaults


def test_a_run_on_jax_fed_by_tfdata_shows_nothing_of_tensorflow(workplace: Path) -> None:
    small = ["data=random", "data.rows=64", "data.feed=tfdata", "trainer.epochs=1", "tracking=none", "save=none"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "kexp", "backend=jax", *small],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert [line.partition("  ")[0] for line in done.stderr.splitlines()] == ["epoch 1/1"]


@pytest.mark.parametrize("group", ["callbacks", "metrics"])
def test_one_of_several_by_reference_goes_by_its_own_name(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: str
) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "things_of_mine.py").write_text("def drift(y_true, y_pred, scale: float = 1.0):\n    return y_pred\n")
    with pytest.raises(SystemExit) as end:
        main(["--cfg", "job", f"{group}=[things_of_mine:drift]", f"{group}.drift.scale=3"])
    assert not end.value.code
    assert "  drift:\n    name: things_of_mine:drift\n" in capsys.readouterr().out
    known = f"there is no parameter of {group}.drift things_of_mine:drift 'scal'; did you mean 'scale'?"
    refused = sentence(capsys, f"{group}=[things_of_mine:drift]", f"{group}.drift.scal=3")
    assert refused == f"{group}.drift.scal: {known}"


def test_the_working_directory_is_importable(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "my_things_here.py").write_text("def twice(x, factor: float = 2.0):\n    return factor * x\n")
    try:
        with pytest.raises(SystemExit) as end:
            main(["--cfg", "job", "activation=my_things_here:twice", "activation.factor=3"])
        assert not end.value.code
        assert "factor: 3" in capsys.readouterr().out
    finally:
        sys.modules.pop("my_things_here", None)
