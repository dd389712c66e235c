"""The API as the commands: overrides, signatures, and errors that are sentences."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kexp
from kexp.errors import BuildError, ConfigError, KexpError, StoreError, TrainingError, UnknownNameError


def test_every_public_name_is_there_and_documented() -> None:
    for name in kexp.__all__:
        member = getattr(kexp, name)
        assert isinstance(member, str) or inspect.getdoc(member), name
    assert set(kexp.__all__) <= set(dir(kexp))
    assert kexp.__all__ == sorted(kexp.__all__)


@pytest.mark.parametrize("name", ["compare", "declare", "load_model", "run", "sweep"])
def test_functions_write_out_what_they_take_and_give(name: str) -> None:
    function = getattr(kexp, name)
    assert inspect.isfunction(function)
    signature = inspect.signature(function)
    assert signature.return_annotation not in (inspect.Signature.empty, "Any", Any)
    for parameter in signature.parameters.values():
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.name in (inspect.getdoc(function) or "")


def test_submodules_take_no_function_s_name() -> None:
    """`kexp.sweep` is a function whatever was imported before."""
    code = "import kexp.sweeps.api, kexp.sweeps.compare_sweeps, kexp; print(kexp.sweep.__name__, kexp.compare.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sweep", "compare"]


@pytest.mark.parametrize("function", [kexp.run, kexp.sweep], ids=["run", "sweep"])
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("optimizer=adam", "overrides: must be a list of texts"),
        (None, "overrides: must be a list of texts"),
        ([1], "overrides: must be a list of texts"),
        (["-m", "optimizer=sgd"], "'-m' is a flag of the command line, not an override; write KEY=VALUE"),
        (["=3"], "'=3' is not an override; write KEY=VALUE"),
        (["optimizer=adma"], "optimizer: there is no optimizer 'adma'; did you mean 'adamax'?"),
        (["optimizer.lerning_rate=1"], "optimizer.lerning_rate"),
    ],
)
def test_what_is_no_override_is_refused(
    workplace: Path, function: Callable[..., Any], given: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        function(given)
    assert sentence in str(refused.value)
    assert not list(workplace.iterdir())  # before any compute


def test_run_refuses_a_mapping_of_which_sweep_makes_axes(workplace: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"overrides: must be a list of texts such as .*, got \{'optimizer': 'adam'\}"
    ):
        kexp.run({"optimizer": "adam"})  # type: ignore[arg-type]
    assert not list(workplace.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        UnknownNameError("optimizer", "optimizer", "adma", ["adam"]),
        BuildError.wrap(ValueError("units must be whole\nand more"), "model.units"),
        TrainingError("a sentence"),
        StoreError("another"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_notebook_shows_the_sentence_and_no_frames(error: KexpError, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython asks an exception for `_render_traceback_`, a list of lines, and prints those in a traceback's place."""
    error.add_note("a note")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert error._render_traceback_() == [f"{type(error).__name__}: {error}", "a note"]
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    try:
        raise error
    except KexpError as raised:
        assert any(Path(__file__).name in line for line in raised._render_traceback_())
