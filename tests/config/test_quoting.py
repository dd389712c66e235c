"""What Hydra's grammar cannot read and is plainly one value is taken as that text, wherever overrides are given."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from kexp.config import compose, quote_text
from kexp.errors import ConfigError
from kexp.sweeps.plan.axes import expand, parse
from kexp.sweeps.sweep_command import opened_sweeper

# Each is one value as it stands.
TEXTS = [
    "my file.csv",
    "data (1).csv",
    "[draft] a.csv",
    ";",
    "标签",
    "Zielgröße",
    "прогноз 2",
    "été.csv",
    "l'été.csv",
    r"C:\data\x.csv",
    r"C:\Users\me\my data (1).csv",
    "http://host:5000/x?a=1&b=2",
    "~/x.csv",
    "100%",
    "a#b",
    "me@home.org",
    "a=b",
    "=",
    "<b>",
    "!x",
    "^",
    "`x`",
    'say "hi" now',
    "a|b",
    "sqlite:///my store.db",
    "😀.csv",
    "€ 5",
    "two\nlines",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_plain_text_is_taken_as_it_is(text: str) -> None:
    override = OverridesParser.create().parse_override(quote_text(f"name={text}"))
    assert not override.is_sweep_override()
    assert override.value() == text


def test_a_comma_separates_values_of_a_sweep_each_of_which_may_be_text(workplace: Path) -> None:
    pairs = [(one, two) for one, two in zip(TEXTS, reversed(TEXTS), strict=True)]
    for one, two in pairs:
        found = expand(parse([f"name={one},{two}", "seed=1,2"]))
        assert [parse(each)[0].value() for each in found[::2]] == [one, two]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("[标签,b c,a;b]", ["标签", "b c", "a;b"]),
        ("{a:标签,b:[x;y]}", {"a": "标签", "b": ["x;y"]}),
        ("'a,b;c'", "a,b;c"),
        ("plain", "plain"),
        ("", ""),
        ("0.5", 0.5),
        ("null", None),
        ("${seed}", "${seed}"),
        ("${seed}-标签", "${seed}-标签"),
    ],
)
def test_what_is_in_brackets_and_what_hydra_reads_keep_their_meaning(written: str, value: object) -> None:
    assert OverridesParser.create().parse_override(quote_text(f"name={written}")).value() == value


def test_functions_take_text_too(workplace: Path) -> None:
    assert expand(parse(["name=choice(标签,a;b)"])) == [("name='标签'",), ("name='a;b'",)]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x[1", "the bracket [ is not closed"),
        ("f(x", "the bracket ( is not closed"),
        ("a]", "the bracket ] was not opened"),
        ("[a}", "the bracket } was not opened"),
        ("a 'b", "the quote ' is not closed"),
        (",", "a value beside a comma is empty"),
        ("a;,", "a value beside a comma is empty"),
        ("[a;,,b]", "a value beside a comma is empty"),
        ("{größe:1}", "größe cannot be the key of a mapping here"),
    ],
)
def test_what_is_not_plain_is_told_with_how_to_quote_it(value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        quote_text(f"name={value}")
    said, _, typed = str(caught.value).rpartition("; as one text, in quotes: ")
    assert said == f"name: {why}, got {value}"
    (override,) = shlex.split(typed)
    assert OverridesParser.create().parse_override(override).value() == value


def test_runs_and_yaml_take_text_as_the_command_line_does(workplace: Path) -> None:
    (workplace / "sweep").mkdir()
    text = "# @package _global_\nhydra: {sweeper: {params: {name: '标签,a;b,my file (1).csv'}}}\n"
    (workplace / "sweep" / "named.yaml").write_text(text)
    with opened_sweeper(["+sweep=named", "seed=1", "hydra/launcher=serial"], workplace) as (sweeper, swept):
        assert [trial.config["name"] for trial in sweeper.plan(swept)] == ["标签", "a;b", "my file (1).csv"]
    assert compose([quote_text("name=my file; 标签")]).name == "my file; 标签"
