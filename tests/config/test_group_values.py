"""Every group takes every kind of value, or a sentence refuses it; a mapping with a name means one thing everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kexp import registry
from kexp.cli import main
from kexp.config import compose, explain, plain, prepare_overrides
from kexp.errors import ConfigError, KexpError
from kexp.registry.groups import GROUPS
from kexp.schema import Experiment, check, defaults_of
from kexp.sweeps.sweep_command import opened_sweeper

# A member of each group with a parameter of its own, and what it takes.
MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "optimizer": ("sgd", {"momentum": 0.5}),
    "schedule": ("cosine_decay", {"decay_steps": 10}),
    "loss": ("huber_loss", {"delta": 2.0}),
    "metrics": ("auc", {"curve": "PR"}),
    "activation": ("leaky_relu", {"negative_slope": 0.1}),
    "model": ("cnn", {"filters": [4]}),
    "data": ("random", {"rows": 50}),
    "callbacks": ("early_stopping", {"patience": 2}),
}
RESOLVED = ("lr", "split_seed", "targets")
PLACELESS = sorted(set(GROUPS) - set(MEMBERS))
SETTINGS = ["trainer", "tracking", "save", "sweep", "fused", "experiment", "hydra/launcher", "hydra/sweeper"]


def checked(*overrides: str) -> Experiment:
    """The experiment of these overrides, as the command line checks it."""
    prepared = prepare_overrides(overrides)
    try:
        return check(plain(compose(prepared)))
    except KexpError:
        raise
    except Exception as error:
        raise explain(error, prepared) from error


def node(group: str, experiment: Experiment, key: str = "") -> dict[str, Any]:
    """A chosen component's parameters, less those that follow the experiment."""
    whole = experiment.as_dict()
    chosen = whole["optimizer"]["schedule"] if group == "schedule" else whole[group]
    chosen = chosen[key or MEMBERS[group][0]] if GROUPS[group].several else chosen
    return {name: value for name, value in chosen.items() if name not in RESOLVED}


def own_defaults(group: str) -> dict[str, Any]:
    """What the component is by itself, with the member's parameter."""
    name, parameters = MEMBERS[group]
    made = {**defaults_of(registry.find(group, name)), **parameters, "name": name}
    return {key: value for key, value in made.items() if key not in RESOLVED}


def written(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    return f"[{', '.join(map(written, value))}]" if isinstance(value, list) else str(value)


def texts(group: str) -> dict[str, str]:
    """One value of each kind."""
    name, parameters = MEMBERS.get(group, ("mlflow", {"x": 1}))
    mapping = {"name": name, **parameters}
    return {
        "a name": name,
        "a list": f"[{name}]",
        "a mapping": written(mapping),
        "a list of mappings": written([mapping]),
        "a mapping by its own key": written({"mine": mapping}),
        "a mapping without a name": written(parameters),
        "a mapping of no keys": "{}",
        "an empty list": "[]",
        "a number": "1e-3",
        "a whole number": "3",
        "null": "null",
        "true": "true",
        "nothing": "",
        "a nested list": f"[[{name}]]",
        "a list of a number": "[1]",
        "a list of null": "[null, true]",
        "a name that is a number": "{name: 3}",
        "a name that is null": "{name: null}",
        "an unknown name": "{name: nonesuch}",
        "an unknown parameter": written({"name": name, "nonesuch": 1}),
        "several without -m": f"{name},{name}",
        "an interval": "interval(0,1)",
        "quoted": '\'{"name": "' + name + "\"}'",
        "an open bracket": "{name: x",
    }


def sentence(*overrides: str) -> str | None:
    """What is refused, None where it is taken; anything but a sentence is an error of the test."""
    try:
        checked(*overrides)
    except ConfigError as error:
        said = str(error)
        assert "\n" not in said
        assert "Error" not in said and "dict" not in said and "str'" not in said, said
        return said
    return None


@pytest.mark.parametrize("group", [*MEMBERS, *PLACELESS, *SETTINGS])
def test_every_group_takes_every_kind_of_value_or_refuses_it_in_a_sentence(workplace: Path, group: str) -> None:
    taken = set()
    for kind, text in texts(group).items():
        said = sentence(f"{group}={text}")
        if said is None:
            taken.add(kind)
        else:
            assert group.partition("/")[0] in said or "optimizer.schedule" in said, said
    if group in MEMBERS:
        several = {"a list", "a list of mappings", "a mapping by its own key", "an empty list"}
        assert taken >= {"a name", "a mapping", "quoted"}
        assert (several <= taken) == GROUPS[group].several
    refused = {"a number", "a whole number", "null", "true", "nothing", "a nested list", "a list of a number"}
    assert not taken & refused - ({"a whole number", "nothing"} if group in ("sweep", "fused") else set())


@pytest.mark.parametrize("group", MEMBERS)
def test_a_mapping_with_a_name_is_that_component_with_its_own_defaults(workplace: Path, group: str) -> None:
    name, parameters = MEMBERS[group]
    text = written({"name": name, **parameters})
    made = [checked(f"{group}={text}")]
    if GROUPS[group].several:
        made += [checked(f"{group}=[{text}]"), checked(f"{group}={written({name: parameters})}")]
    folder = workplace / "experiment"
    folder.mkdir()
    (folder / "mine.yaml").write_text(f"# @package _global_\n{group}: {text}\n")
    made.append(check(plain(compose(["experiment=mine"], workplace))))
    for experiment in made:
        assert node(group, experiment) == own_defaults(group)


@pytest.mark.parametrize("group", MEMBERS)
def test_a_sweep_goes_through_mappings_as_through_names(workplace: Path, group: str) -> None:
    name, parameters = MEMBERS[group]
    first, second = written({"name": name, **parameters}), written({"name": name})
    values = f"[{first}],[{second}]" if GROUPS[group].several else f"{first},{second}"
    with opened_sweeper([f"{group}={values}", "seed=1,2", "hydra/launcher=serial"]) as (sweeper, swept):
        trials = sweeper.plan(swept)
        from_yaml = sweeper._arguments([])
    nodes = [node(group, check(trial.config)) for trial in trials]
    (key,) = parameters
    assert [each[key] for each in nodes[:2]] == [parameters[key]] * 2
    assert nodes[2] == nodes[3] != nodes[0]
    assert from_yaml == []
    again = [plain(compose(list(trial.overrides)))[group.replace("schedule", "optimizer")] for trial in trials]
    assert again == [trial.config[group.replace("schedule", "optimizer")] for trial in trials]


def test_two_of_one_name_go_by_the_names_that_keras_gives() -> None:
    experiment = checked("metrics=[{name: auc, curve: PR}, auc, accuracy, {name: auc, num_thresholds: 10}]")
    assert list(experiment.metrics) == ["auc", "auc_1", "accuracy", "auc_2"]
    assert [each.parameters.get("curve") for each in experiment.metrics.values()] == ["PR", "ROC", None, "ROC"]
    named = checked("metrics={pr: {name: auc, curve: PR}, roc: auc}", "metrics.roc.num_thresholds=9")
    assert list(named.metrics) == ["pr", "roc"]
    assert named.metrics["roc"].parameters["num_thresholds"] == 9


def test_a_reference_takes_its_parameters_in_a_mapping(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "own_values.py").write_text(
        "def sharper(y_true, y_pred, power: float = 2.0):\n    return abs(y_true - y_pred) ** power\n"
    )
    expected = {"name": "own_values:sharper", "power": 3}
    assert node("loss", checked('loss={name: "own_values:sharper", power: 3}')) == expected
    measured = node("metrics", checked('metrics=[{name: "own_values:sharper", power: 3}]'), "sharper")
    assert measured == expected | {"weighted": False}


def test_values_in_a_mapping_keep_paths_quotes_and_interpolations() -> None:
    data = node("data", checked("data={name: csv, path: 's3://a/b c.csv', target: ${backend}}"))
    assert (data["path"], data["target"]) == ("s3://a/b c.csv", "tensorflow")


def test_a_preset_is_chosen_in_a_mapping_too() -> None:
    optimizer = node("optimizer", checked("optimizer={name: sgd_nesterov, momentum: 0.5}"))
    assert (optimizer["name"], optimizer["nesterov"], optimizer["momentum"]) == ("sgd", True, 0.5)


def test_the_command_line_wins_over_what_a_preset_chooses(workplace: Path) -> None:
    (workplace / "experiment").mkdir()
    (workplace / "experiment" / "mine.yaml").write_text(
        "# @package _global_\noptimizer: {name: sgd, momentum: 0.5}\nmetrics: [accuracy, {name: auc}]\n"
        "callbacks: {early_stopping: {patience: 7}}\ntrainer: {epochs: 3}\nsave: {formats: h5}\n"
    )
    whole = check(plain(compose(["experiment=mine"], workplace)))
    assert list(whole.metrics) == ["accuracy", "auc"]
    assert whole.callbacks["early_stopping"].parameters["patience"] == 7
    assert (whole.trainer.epochs, whole.save.formats) == (3, ["h5"])
    changed = check(plain(compose(["experiment=mine", "optimizer.momentum=0.25", "metrics=[accuracy]"], workplace)))
    assert (changed.optimizer.parameters["momentum"], list(changed.metrics)) == (0.25, ["accuracy"])
    assert check(plain(compose(["experiment=mine", "optimizer=adam"], workplace))).optimizer.name == "adam"


def test_a_preset_that_cannot_be_is_told_with_its_file(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "experiment").mkdir()
    (workplace / "experiment" / "mine.yaml").write_text("# @package _global_\nmetrics: [3]\n")
    with pytest.raises(SystemExit) as end:
        main(["experiment=mine", f"--config-dir={workplace}"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said == "kexp: experiment/mine.yaml: metrics[0]: must be the name of a metric, got 3; metrics=[] is none\n"


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        (["trainer={epochs: 3}"], "trainer.epochs", 3),
        (["save.formats=h5"], "save.formats", ["h5"]),
        (["optimizer={momentum: 0.25}", "optimizer=sgd"], "optimizer.momentum", 0.25),
        (["optimizer.schedule=cosine_decay"], "optimizer.schedule.name", "cosine_decay"),
        (["optimizer={name: adam, schedule: cosine_decay}"], "optimizer.schedule.name", "cosine_decay"),
        (["schedule={name: none}"], "optimizer.schedule", None),
        (["loss={name: auto}"], "loss.name", "auto"),
        (["metrics=[auto, {name: auc}]"], "metrics.auto.name", "auto"),
        (["model=sequential", "model.layers={name: Dense, units: 3}"], "model.layers", [{"name": "Dense", "units": 3}]),
        (["model=sequential", "model.layers=Flatten"], "model.layers", [{"name": "Flatten"}]),
    ],
)
def test_a_value_means_what_it_says(overrides: Sequence[str], key: str, value: Any) -> None:
    found: Any = checked(*overrides).as_dict()
    for part in key.split("."):
        found = found[part]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        found = [{name: each[name] for name in wanted} for each, wanted in zip(found, value, strict=True)]
    assert found == value


@pytest.mark.parametrize("group", [group for group in MEMBERS if not GROUPS[group].several])
@pytest.mark.parametrize("after", [False, True], ids=["choice first", "mapping first"])
def test_a_choice_and_a_mapping_of_one_group_are_the_choice_with_its_parameters(
    workplace: Path, group: str, after: bool
) -> None:
    name, parameters = MEMBERS[group]
    pair = [f"{group}={name}", f"{group}={written(parameters)}"]
    assert node(group, checked(*(reversed(pair) if after else pair))) == own_defaults(group)
    said = sentence(f"{group}={name}", f"{group}={{nonesuch: 1}}")
    package = GROUPS[group].package or group
    assert said is not None and said.startswith(f"{package}.nonesuch: there is no ")


def test_the_mapping_of_a_group_is_of_the_trials_whose_choice_has_its_keys(workplace: Path) -> None:
    given = ["optimizer=sgd,adam", "optimizer={momentum: 0.5, learning_rate: 0.1}", "hydra/launcher=serial"]
    with opened_sweeper(given) as (sweeper, swept):
        trials = sweeper.plan(swept)
    assert [trial.config["optimizer"].get("momentum") for trial in trials] == [0.5, None]
    assert [trial.config["optimizer"]["learning_rate"] for trial in trials] == [0.1, 0.1]
    assert sweeper.left_out == ["optimizer.momentum is no parameter of optimizer=adam; those trials run without it"]


def test_auto_takes_no_parameters() -> None:
    with pytest.raises(ConfigError, match="auto takes no parameters"):
        checked("loss={name: auto, delta: 2}")
