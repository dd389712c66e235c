"""`kexp plugin check` and the contract suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from distributions import installed

from kexp.cli import main
from kexp.rules import Range
from kexp.signatures import Parameter
from kexp.testing.staging import available_backends
from kexp.testing.values import example, outside


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["plugin", "check", *arguments])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_check_runs_the_contract_on_every_backend_that_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(capsys, "layer")
    checks = 10 + len(available_backends()) - 1
    assert (code, out) == (0, f"layer=GatedDense  kexp-example 0.1.0  ok, {checks} checks\n")


@pytest.mark.slow
def test_check_of_everything_installed_holds_the_example_to_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(capsys)
    assert code == 0, out
    assert out.count("kexp-example 0.1.0  ok") == 13


def test_check_says_what_is_wrong_with_each_broken_component(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "def no_help(l1: float = 0.1):\n    import keras\n    return keras.regularizers.L1(l1)\n"
        "def wrong_kind():\n    'Returns a mapping.'\n    return {}\n"
        "def open_ended(**options):\n    'Takes anything.'\n    import keras\n    return keras.regularizers.L1()\n"
    )
    entries = {
        "kexp.regularizer": {
            **{name: f"their_reg:{name}" for name in ("no_help", "wrong_kind", "open_ended", "missing")},
            "group_lasso": "their_reg:no_help",
        }
    }
    with installed(tmp_path / "site", "their-reg", {"their_reg": source}, entries):
        code, out = check(capsys, "regularizer")
    assert code == 1
    assert "no_help has no docstring" in out
    assert "their_reg:wrong_kind of their-reg 1.0 must return a keras.regularizers.Regularizer, got dict" in out
    assert "their_reg:open_ended takes **kwargs" in out
    assert "AttributeError: module 'their_reg' has no attribute 'missing'" in out
    assert "the name is also claimed by their-reg 1.0" in out


def test_check_without_pytest_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pytest" else find(name, *rest)
    )
    with pytest.raises(SystemExit) as ended:
        main(["plugin", "check", "layer"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "kexp: plugin check: needs pytest; install with: pip install pytest\n"


@pytest.mark.parametrize(
    ("annotation", "refused"),
    [
        ("Annotated[int, Range(ge=1)]", [0]),
        ("Annotated[float, Range(gt=0, le=1)]", [0, 2]),
        ("Annotated[float, Range(ge=0, lt=1)] | None", [-1, 1]),
        ("Literal['up', 'down']", [{"a mapping": "where text is due"}]),
    ],
)
def test_values_outside_are_just_past_the_bounds(annotation: str, refused: list[Any]) -> None:
    from typing import Annotated, Literal

    scope = {"Annotated": Annotated, "Literal": Literal, "Range": Range}
    found = outside(Parameter("p", 1, eval(annotation, scope)), by_keras=False)
    assert [value for value in found if not isinstance(value, str)] == refused


def test_an_example_lies_within_the_range() -> None:
    from typing import Annotated

    for allowed in (Range(ge=1), Range(gt=0, lt=1), Range(ge=7, le=7), Range(ge=0)):
        for kind in (int, float):
            value = example(Parameter("p", annotation=Annotated[kind, allowed]))
            assert value is None or value in allowed
    assert example(Parameter("p", annotation=Annotated[int, Range(ge=7)])) == 7


def test_an_entry_point_in_no_group_is_named_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workplace: Path
) -> None:
    entries = {"kexp.optimiser": {"theirs": "their_opt:theirs"}, "kexp.launcher": {"far": "their_opt:Far"}}
    sentence = (
        "theirs of their-opt 1.0 is registered in kexp.optimiser, a group that does not exist; "
        "did you mean 'optimizer'?"
    )
    with installed(tmp_path / "site", "their-opt", {"their_opt": ""}, entries):
        for command in (["components", "optimizer"], ["doctor"]):
            with pytest.raises(SystemExit):
                main(command)
            captured = capsys.readouterr()
            assert sentence in captured.out + captured.err
            assert "kexp.launcher" not in captured.out + captured.err
