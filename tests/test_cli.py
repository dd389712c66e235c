"""The command line's words for what is wrong: one sentence, exit code 2, nothing computed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kexp.cli import main


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
        ("trainer.verbose=3", "trainer.verbose: must be one of 0, 1, 2, got 3"),
        ("seed=-1", "seed: must be at least 0, got -1"),
        ("backend=tensorflo", "backend: must be one of tensorflow, jax, torch, got 'tensorflo'"),
        ("data.test_split=1.5", "data.test_split: must be at least 0 and"),
        ("trainer.validation_split=-0.1", "trainer.validation_split: must be at least 0 and less than 1, got -0.1"),
        ("data.feed=nump", "data.feed: must be one of numpy, tfdata, got 'nump'"),
        ("trainer.batch_size=100000", "trainer.batch_size: must not exceed the 1150 training rows, got 100000"),
        ("model.hidden=[32,0]", "model.hidden[1]: must be at least 1, got 0"),
        ("model.dropout=1.0", "model.dropout: must be at least 0 and less than 1, got 1.0"),
        ("tracking.uri=sqlite:////proc/none/mlflow.db", "tracking.uri: cannot write to /proc/none"),
        ("tracking.uri=http://127.0.0.1:9", "tracking.uri: cannot reach the MLflow server at http://127.0.0.1:9"),
        ("optimizer=not_there:Thing", "optimizer=not_there:Thing: not_there:Thing of reference cannot be imported"),
        ("optimizer.learning_rate=[", "optimizer.learning_rate=[: "),
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
            ["metrics=[categorical_accuracy]"],
            "metrics: categorical_accuracy wants one-hot targets, but loss=sparse_categorical_crossentropy trains on "
            "class indices; choose metrics=[sparse_categorical_accuracy] or loss=categorical_crossentropy",
        ),
        (["data=diabetes", "metrics=[accuracy]"], "metrics: accuracy is for a classification, but the data is a regr"),
        (["data=csv", "data.path=none.csv", "data.target=y"], "data.path: no such file 'none.csv'"),
        (["data=csv"], "data.path: must be given"),
        (["schedule=cosine_decay", "optimizer.decay=0.1"], "optimizer.decay: must be 0 with a schedule"),
        (["backend=jax", "save.formats=[tf_checkpoint]"], "save.formats: tf_checkpoint needs backend=tensorflow"),
    ],
)
def test_what_does_not_go_together_gets_one_sentence_that_says_what_to_choose(
    workplace: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], expected: str
) -> None:
    assert sentence(capsys, *overrides).startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["evaluat", "latest"], "there is no command 'evaluat'; did you mean 'evaluate'?"),
        (["components", "optimzer"], "GROUP: there is no group 'optimzer'; did you mean 'optimizer'?"),
        (["show", "loss", "hubber"], "NAME: there is no loss 'hubber'; did you mean 'huber'?"),
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
    from kexp.groups import GROUPS

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


def test_the_working_directory_is_importable(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "my_things_here.py").write_text("def twice(x, factor: float = 2.0):\n    return factor * x\n")
    try:
        with pytest.raises(SystemExit) as end:
            main(["--cfg", "job", "activation=my_things_here:twice", "activation.factor=3"])
        assert not end.value.code
        assert "factor: 3" in capsys.readouterr().out
    finally:
        sys.modules.pop("my_things_here", None)
        sys.path[:] = [each for each in sys.path if each != str(workplace)]
