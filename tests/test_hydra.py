"""Hydra kept whole: each of its settings and flags does what it documents, does better, or is refused in a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import hydra_reports
import pytest
from finished_runs import Kexp
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback

import kexp
from kexp.cli import main
from kexp.commands.support.completions import candidates
from kexp.config import compose, compose_head, is_sweep, open_hydra, quote_text
from kexp.errors import ConfigError
from kexp.sweeps.sweep_command import opened_sweeper

SERIAL = "hydra/launcher=serial"
SMALL = ["data=iris", "trainer.epochs=1", "save=none", "tracking.figures=false"]
DOCS = Path(__file__).parent.parent / "docs" / "hydra.md"


def keys(kind: type, path: str = "") -> Iterator[str]:
    """The keys of a dataclass of Hydra's, down to plain values."""
    hints = get_type_hints(kind, localns=vars(kind))
    for each in fields(kind):
        inner = hints[each.name]
        if is_dataclass(inner):
            yield from keys(inner, f"{path}{each.name}.")
        elif each.name != "defaults":  # Hydra's own list of options
            yield path + each.name


def flags() -> set[str]:
    actions = get_args_parser()._actions
    return {", ".join(sorted(each.option_strings, key=len, reverse=True)) for each in actions if each.option_strings}


def planned(*arguments: str, folder: Path | None = None) -> list[str]:
    """The trials' overrides."""
    with opened_sweeper([*arguments, SERIAL], folder) as (sweeper, swept):
        trials = sweeper.plan(swept)
        assert {trial.state for trial in trials} == {"WAITING"}, [trial.reason for trial in trials]
        return [" ".join(trial.overrides) for trial in trials]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert len(said.splitlines()) == 1, said
    return said.removeprefix("kexp: ")


def documented(heading: str) -> dict[str, str]:
    """The keys or flags in a table of the page, and what kexp does with each."""
    section = DOCS.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(.+?)` \| (as documented|better|refused) \| .+ \|$", section, re.MULTILINE))


def test_every_key_and_flag_of_hydra_is_in_the_table() -> None:
    assert {f"hydra.{key}" for key in keys(HydraConf)} == set(documented("Settings"))
    assert flags() == set(documented("Flags"))


def test_the_docs_have_the_reported_problems() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert not [row for row in hydra_reports.rows() if row not in text]


REFUSED = [key.removeprefix("hydra.") for key, how in documented("Settings").items() if how == "refused"]


@pytest.mark.parametrize("key", REFUSED)
@pytest.mark.parametrize("flag", [[], ["-m", "seed=1,2", SERIAL]], ids=["run", "sweep"])
def test_a_refused_key_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str], key: str, flag: list[str]
) -> None:
    value = {"job.chdir": "true", "job.num": "3", "runtime.choices": "{a:b}"}.get(key, "x")
    assert refused(capsys, *flag, f"hydra.{key}={value}").startswith(f"hydra.{key}: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shell-completion", "install=bash"], "--shell-completion: is `kexp completion SHELL` here"),
        (["--experimental-rerun", "x.pickle"], "--experimental-rerun: reads a pickle"),
        (["--resolve"], "--resolve: is for what --cfg or --help shows"),
        (["--package", "optimizer"], "--package: says which part of the config --cfg shows"),
        (["--run", "-m", "seed=1,2"], "--run and --multirun do not go together"),
        (["-cp", ".", "-cd", "."], "--config-path: is another name for --config-dir here"),
        (["--config-dir", "none"], "--config-dir: there is no folder 'none'"),
        (["--info", "all", "--cfg", "job"], "--cfg and --info do not go together"),
        (["hydra.job.env_copy=[NOT_THERE]"], "hydra.job.env_copy: there is no environment variable 'NOT_THERE'"),
        (["+hydra.callbacks.mine={_target_: not_there.Mine}"], "hydra.callbacks: Error locating target 'not_there.Mi"),
        (["-cn", "confg", "--cfg", "job"], "--config-name: there is no config 'confg'; did you mean 'config'?"),
        (["experiment=diabetes", "+experiment=iris"], "experiment: is chosen twice, by experiment=diabetes and +exp"),
        (
            ["model.hidden=range(3)"],
            "model.hidden: takes one value here, got range(3); a sweep is kexp -m 'model.hidden",
        ),
        (["name=a b,c d"], "name: takes one value here, got a b,c d; a sweep over them is kexp -m 'name=a b,c d'; "),
        (["-m", "hydra.sweep.subdir=S", "seed=1,2", SERIAL], "hydra.sweep.subdir: gives trials 0 and 1 one folder, S"),
    ],
)
def test_what_does_not_go_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert refused(capsys, *arguments).startswith(said)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--cfg", "job", "--package", "optimizer", "optimizer=sgd"], "name: sgd"),
        (["--cfg", "job", "--package", "optimizer", "optimizer.learning_rate=0.1"], "name: adam"),
        (["-c", "job", "-p", "data", "--resolve", "seed=7"], "split_seed: 7"),
        (["--cfg", "hydra", "hydra.job.name=mine"], "name: mine"),
        (["--cfg", "all", "-cn", "other", "-cd", "mine"], "seed: 41"),
        (["--config-path", "mine", "--cfg", "job", "optimizer=fast"], "learning_rate: 0.5"),
        (["--cfg", "job", "hydra.searchpath=[file://more]", "optimizer=slow"], "learning_rate: 0.25"),
        (["--info", "searchpath"], "kexp://"),
        (["--info", "defaults", "seed=1"], "Defaults List"),
        (["--hydra-help"], "Hydra"),
        (["--help", "optimizer=sgd", "hydra.help.template=MY OWN PAGE"], "MY OWN PAGE"),
        (["--version"], kexp.__version__),
        (["--cfg", "job", "name=${hydra:job.name}", "--resolve"], "name: kexp"),
    ],
)
def test_what_is_shown(workplace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], shown: str) -> None:
    for name, text in {
        "mine/other.yaml": "defaults: [config, _self_]\nseed: 41\n",
        "mine/optimizer/fast.yaml": "defaults: [sgd, _self_]\nlearning_rate: 0.5\n",
        "more/optimizer/slow.yaml": "defaults: [sgd, _self_]\nlearning_rate: 0.25\n",
    }.items():
        (workplace / name).parent.mkdir(parents=True, exist_ok=True)
        (workplace / name).write_text(text)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    assert shown in capsys.readouterr().out


class Told(Callback):
    """Writes down what it is told, and what the environment holds then."""

    heard: list[tuple[Any, ...]] = []  # noqa: RUF012  one list for all: Hydra makes the object

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return object.__getattribute__(self, name)

        def hear(config: Any, **given: Any) -> None:
            ended = given.get("job_return")
            Told.heard.append((name, config.seed, ended and ended.status.name, os.environ.get("KEXP_TEST_SET")))

        return hear


class Failing(Callback):
    def on_run_end(self, config: Any, **given: Any) -> None:
        raise ValueError("no more")


CALLBACKS = ["+hydra.callbacks.told={_target_: test_hydra.Told}", "+hydra.job.env_set.KEXP_TEST_SET=yes"]


def test_a_run_has_hydras_folder_callbacks_environment_and_files(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Told.heard.clear()
    where = [
        "hydra.run.dir=runs/${seed}",
        "hydra.output_subdir=conf",
        "hydra.job.name=mine",
        "hydra/job_logging=default",
    ]
    failing = "+hydra.callbacks.failing={_target_: test_hydra.Failing}"
    with pytest.raises(SystemExit) as end:
        main([*SMALL, "tracking=none", "seed=3", *where, *CALLBACKS, failing])
    printed = capsys.readouterr()
    assert not end.value.code, printed.err
    assert "kexp: hydra.callbacks: Failing.on_run_end: ValueError: no more" in printed.err
    assert (workplace / "runs" / "3" / "conf" / "overrides.yaml").is_file()
    assert (workplace / "runs" / "3" / "mine.log").is_file()
    assert (
        Told.heard
        == [
            ("on_run_start", 3, None, None),
            ("on_job_start", 3, None, "yes"),
            ("on_job_end", 3, "COMPLETED", None),
            ("on_run_end", 3, None, None),
        ]
        or Told.heard[2][2] == "COMPLETED"
    )


def test_a_sweep_has_hydras_folders_callbacks_environment_and_files(workplace: Path, kexp_command: Kexp) -> None:
    Told.heard.clear()
    subdir = "hydra.sweep.subdir=${hydra.job.override_dirname}/n${hydra.job.num}"
    excluded = "hydra.job.config.override_dirname.exclude_keys=[data,trainer.epochs,save,tracking.figures]"
    where = ["hydra.sweep.dir=swept", subdir, excluded, "hydra.output_subdir=conf"]
    assert kexp_command("-m", *SMALL, "seed=1,2", SERIAL, *where, *CALLBACKS) == 0
    for number, seed in enumerate((1, 2)):
        folder = workplace / "swept" / f"seed={seed}" / f"n{number}"
        assert (folder / "trial.log").is_file()
        assert f"seed={seed}" in (folder / "conf" / "overrides.yaml").read_text()
    assert (workplace / "swept" / "report.html").is_file()
    assert not (workplace / "multirun").exists()
    assert [(name, seed) for name, seed, *_ in Told.heard[1:-1]] == [
        (name, seed) for seed in (1, 2) for name in ("on_job_start", "on_job_end")
    ]
    assert (Told.heard[0][0], Told.heard[-1][0]) == ("on_multirun_start", "on_multirun_end")
    assert {status for name, _, status, _ in Told.heard if name == "on_job_end"} == {"COMPLETED"}
    assert {held for name, _, _, held in Told.heard if name.startswith("on_job")} == {"yes"}


@pytest.mark.parametrize("override", ["hydra.run.dir=x", "hydra.mode=MULTIRUN", "hydra/launcher=serial"])
def test_a_run_from_python_does_not_ignore_settings_of_the_command_line(workplace: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="is a setting of the command line and of kexp"):
        kexp.run([*SMALL, override])


def test_the_mode_of_a_sweep_is_not_a_runs(workplace: Path) -> None:
    assert len(planned("seed=1,2", "hydra.mode=MULTIRUN")) == 2


def value(written: str) -> Any:
    return OverridesParser.create().parse_override(quote_text(f"name={written}")).value()


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\n{text}\n")
    return folder


def launcher_of(folder: Path | None, *arguments: str) -> str:
    with opened_sweeper(arguments, folder) as (sweeper, _):
        return type(sweeper.launcher).__name__


def over_sweeps(folder: Path) -> None:
    put(
        folder,
        sweep__one="hydra: {sweeper: {params: {seed: '1,2'}}}",
        sweep__two="hydra: {sweeper: {params: {seed: '3,4,5'}}}",
    )
    assert len(planned("+sweep=one,two", folder=folder)) == 5


def launchers_of_presets(folder: Path) -> None:
    put(
        folder,
        experiment__one="defaults: [override /hydra/launcher: serial]",
        experiment__two="defaults: [override /hydra/launcher: processes]",
    )
    assert launcher_of(folder, "experiment=one", "seed=1,2") == "SerialLauncher"
    with pytest.raises(ConfigError, match=r"hydra\.launcher: .* do not agree on it"):
        planned_quietly(folder, "experiment=one,two")


def planned_quietly(folder: Path, *arguments: str) -> None:
    with opened_sweeper(arguments, folder):
        pass


def folders_in_the_config(folder: Path) -> None:
    put(folder, experiment__here="seed: 9")
    assert compose([f"hydra.searchpath=[file://{folder}]", "experiment=here"]).seed == 9


def folders_from_code(folder: Path) -> None:
    put(folder / "mine", experiment__here="seed: 9")
    assert compose(["experiment=here"], "mine").seed == 9  # relative to the working directory


def momentum(folder: Path) -> None:
    assert len(planned("optimizer=sgd,adam", "optimizer.momentum=0,0.9")) == 3
    assert len(planned("optimizer=adam,sgd", "optimizer.momentum=0.9")) == 2


def names_of_folders(folder: Path) -> None:
    from kexp.sweeps.plan.jobs import Jobs

    given = ["seed=1,2", "name=a/b", "hydra.sweep.subdir=${hydra:job.override_dirname}", SERIAL]
    with opened_sweeper(given) as (sweeper, swept):
        found = [Jobs(sweeper).subdir(trial) for trial in sweeper.plan(swept)]
    assert found == ["name=a/b,seed=1", "name=a/b,seed=2"]


def one_trial(folder: Path) -> None:
    assert planned("seed=1") == ["seed=1"]
    assert launcher_of(None, "hydra/launcher=processes", "seed=1") == "ProcessesLauncher"


def sweep_by_preset(folder: Path) -> None:
    put(folder, experiment__both="hydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}")
    with open_hydra(folder) as hydra:
        config = compose_head(hydra, ["experiment=both"])
        assert is_sweep(config)
    assert len(planned("experiment=both", folder=folder)) == 2


def two_options(folder: Path) -> None:
    put(folder, experiment__one="seed: 9", experiment__two="backend: jax")
    config = compose(["experiment=[one,two]"], folder)
    assert (config.seed, config.backend) == (9, "jax")


def settings_of_hydra(folder: Path) -> None:
    for swept in ("hydra.sweeper.max_batch_size=1,2", "hydra/launcher=serial,processes", "hydra.job.name=a,b"):
        with pytest.raises(ConfigError, match=rf"^{re.escape(swept.partition('=')[0])}: cannot be swept over"):
            planned_quietly(folder, swept, "seed=1,2")


def completion_of_an_added_option(folder: Path) -> None:
    assert set(candidates("kexp -m +sweep=learn")) == {"+sweep=learning_rates"}


def comma_in_a_value(folder: Path) -> None:
    assert len(planned("name='a,b'", "seed=1,2")) == 2


def completion_beside_a_sweep(folder: Path) -> None:
    assert set(candidates("kexp -m optimizer=sgd,adam trainer.batch")) == {"trainer.batch_size="}
    assert set(candidates("kexp -m seed=1,2 optimizer=adam,adag")) == {"optimizer=adam,adagrad"}


def text(written: str) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        assert value(written) == written

    return check


def backslash(folder: Path) -> None:
    assert value(r"['#\\', 'x']") == ["#\\", "x"]


PLANNED: dict[int, Callable[[Path], None]] = {
    274: folders_in_the_config,
    283: momentum,
    394: sweep_by_preset,
    573: comma_in_a_value,
    851: one_trial,
    856: completion_beside_a_sweep,
    962: text("/data/part_%r.bin"),
    1016: two_options,
    1052: momentum,
    1259: folders_from_code,
    1344: names_of_folders,
    1600: backslash,
    1788: folders_from_code,
    1841: completion_of_an_added_option,
    1843: text("a|b"),
    2381: settings_of_hydra,
    2705: text("#"),
    2807: over_sweeps,
    2888: momentum,
    2891: text("王芳"),
    2946: launchers_of_presets,
    3018: names_of_folders,
    3231: launchers_of_presets,
}
# Those of failures and resumes, by one sweep below, and of searches, which tests of their own hold.
SWEPT = {125, 1306, 1407, 1462, 2284, 2551, 2824, 3328}
SEARCHED = {1954: "sweeps/test_search.py", 2433: "sweeps/test_search_space.py"}


@pytest.mark.parametrize("number", PLANNED)
def test_a_report_that_a_plan_shows(workplace: Path, number: int) -> None:
    PLANNED[number](workplace)


def test_every_report_of_the_docs_has_a_case() -> None:
    assert {*PLANNED, *SWEPT, *SEARCHED} == set(hydra_reports.REPORTS)
    assert all((Path(__file__).parent / file).is_file() for file in SEARCHED.values())


def test_a_sweep_goes_on_after_failures_tells_of_them_and_is_resumed(
    workplace: Path, kexp_command: Kexp, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = """
import os
from keras import Sequential, layers

class Failing(layers.Dense):
    def call(self, x, training=None):
        if training and not os.path.exists("mended"):  # a plan, which only builds, does not see it
            raise RuntimeError("not yet")
        return super().call(x)

def build(spec, size: int = 1):
    return Sequential([(Failing if size == 2 else layers.Dense)(spec.units, activation=spec.output_activation)])
"""
    (workplace / "failing_model.py").write_text(module)
    monkeypatch.syspath_prepend(str(workplace))
    sweep = ["-m", *SMALL, "model=failing_model:build", "model.size=2,1,3", SERIAL, "sweep.name=some"]
    assert kexp_command(*sweep, "sweep.fail_fast=true") == 1
    assert "2 of 3 trials were not run" in capfd.readouterr().out
    assert kexp_command(*sweep) == 1
    printed = capfd.readouterr()
    assert re.search(r"trial +0 +FAILED .*not yet.*\n1/3 trials", printed.err), printed.err  # while others wait
    assert re.search(r"trial 0 +FAILED +.*not yet", printed.out)
    assert (workplace / "multirun" / "some" / "2" / "trial.log").is_file()
    (workplace / "mended").touch()
    assert kexp_command("resume", "some") == 0
    assert "3 trials, 2 done already, 1 to run" in capfd.readouterr().err
