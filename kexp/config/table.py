"""What becomes of every key under `hydra` and of every flag of Hydra 1.3: as Hydra documents it, better, or refused.

The table in `docs/hydra.md` is printed from this one, and a test holds both against Hydra.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kexp.errors import ConfigError

__all__ = ["FLAGS", "KEYS", "Entry", "refuse_filled_in", "rows"]


@dataclass(frozen=True)
class Entry:
    """A key or a flag.

    Attributes:
        how: `documented`: as Hydra's documentation says; `better`: otherwise, as `says` tells; `refused`.
        says: what it does, or why it is refused.
    """

    how: Literal["documented", "better", "refused"]
    says: str


def _documented(says: str) -> Entry:
    return Entry("documented", says)


def _better(says: str) -> Entry:
    return Entry("better", says)


_FILLED_IN = Entry("refused", "Hydra fills it in; it can be read, `${hydra:runtime.cwd}`, and not set")

KEYS: dict[str, Entry] = {
    "mode": _documented("`MULTIRUN`, in a preset too, makes a sweep of the command without `-m`"),
    "searchpath": _documented("further folders or packages of YAML, in the primary config or on the command line"),
    "run.dir": _documented("the folder of a run"),
    "sweep.dir": _better("the folder of a sweep; `multirun/NAME` unless set, by `sweep.name` or date and time"),
    "sweep.subdir": _better("the folder of a trial in it; two trials of one folder are refused"),
    "hydra_logging": _better("`none` unless chosen: kexp tells what there is to tell"),
    "job_logging": _better(
        "`none` unless chosen; a trial of a sweep has all it prints in its `trial.log`, and a line says so"
    ),
    "sweeper": _better("`grid` unless chosen; `basic` is Hydra's own. `params` may list values in YAML"),
    "launcher": _better("`auto` unless chosen, in a preset too: see [sweeps](sweeps.md#launch)"),
    "callbacks": _better(
        "all six hooks; of a trial on a launcher of kexp's, in the sweep's process. One that fails is told"
    ),
    "help.app_name": _documented("in the page of `kexp --help OVERRIDE ...`"),
    "help.header": _documented("in the page of `kexp --help OVERRIDE ...`"),
    "help.footer": _documented("in the page of `kexp --help OVERRIDE ...`"),
    "help.template": _documented("the page of `kexp --help OVERRIDE ...`; `kexp --help` alone is kexp's own"),
    "hydra_help.hydra_help": _documented("in the page of `--hydra-help`"),
    "hydra_help.template": _documented("the page of `--hydra-help`"),
    "output_subdir": _better(
        "of a run, the folder of its config's files; of a trial, once it is named: each run has its config in MLflow"
    ),
    "overrides.hydra": _FILLED_IN,
    "overrides.task": _FILLED_IN,
    "job.name": _documented("for interpolations and logs; `kexp` unless set"),
    "job.chdir": Entry(
        "refused", "a run's files are in its folder anyway, and relative paths stay what they are; `false` is taken"
    ),
    "job.override_dirname": _FILLED_IN,
    "job.id": _FILLED_IN,
    "job.num": _FILLED_IN,
    "job.config_name": _FILLED_IN,
    "job.env_set": _documented("variables of the environment while a run, or a sweep with its workers, is at work"),
    "job.env_copy": _documented("variables that a job elsewhere has as here; one that there is not is refused"),
    "job.config.override_dirname.kv_sep": _documented("how `${hydra.job.override_dirname}` is written"),
    "job.config.override_dirname.item_sep": _documented("how `${hydra.job.override_dirname}` is written"),
    "job.config.override_dirname.exclude_keys": _documented("what `${hydra.job.override_dirname}` leaves out"),
    "runtime.version": _FILLED_IN,
    "runtime.version_base": _FILLED_IN,
    "runtime.cwd": _FILLED_IN,
    "runtime.config_sources": _FILLED_IN,
    "runtime.output_dir": _FILLED_IN,
    "runtime.choices": _FILLED_IN,
    "verbose": _better("debugging logs, shown though no logging is chosen"),
}

FLAGS: dict[str, Entry] = {
    "--help, -h": _better("alone kexp's own page; with overrides Hydra's, with the config"),
    "--hydra-help": _documented("Hydra's page"),
    "--version": _better("kexp's version"),
    "--cfg, -c": _documented("prints `job`, `hydra` or `all` of the config"),
    "--resolve": _documented("with `--cfg` or `--help`, interpolations resolved; else refused"),
    "--package, -p": _documented("with `--cfg`, a part of it; else refused"),
    "--run, -r": _documented("one run"),
    "--multirun, -m": _better("a sweep, anywhere among the overrides"),
    "--shell-completion, -sc": Entry(
        "refused", "`kexp completion SHELL` completes commands, keys, values and runs, five times as fast"
    ),
    "--config-path, -cp": _better("another word for `--config-dir`: kexp's own folder stays behind yours"),
    "--config-name, -cn": _documented("the primary config, of your folder"),
    "--config-dir, -cd": _better("a folder of YAML of yours, relative to where you are, which wins over kexp's"),
    "--experimental-rerun": Entry(
        "refused", "reads a pickle, which may run any code; `kexp reproduce RUN` runs a run again"
    ),
    "--info, -i": _documented(
        "what Hydra knows: `searchpath`, `defaults`, `defaults-tree`, `config`, `plugins`, `all`"
    ),
}


def refuse_filled_in(overrides: Iterable[str]) -> None:
    """Refuses to set what Hydra would then fill in itself.

    Raises:
        ConfigError: an override sets such a key.
    """
    for each in overrides:
        key = each.partition("=")[0].lstrip("+~")
        if not key.startswith("hydra."):
            continue
        for known, entry in KEYS.items():
            if entry is _FILLED_IN and f"{key}.".startswith(f"hydra.{known}."):
                raise ConfigError(f"{key}: cannot be set, since Hydra fills it in; it can be read as ${{{key}}}")


def rows(table: dict[str, Entry], prefix: str = "") -> list[str]:
    """The table's rows, as `docs/hydra.md` has them."""
    words = {"documented": "as documented", "better": "better", "refused": "refused"}
    return [f"| `{prefix}{key}` | {words[entry.how]} | {entry.says} |" for key, entry in table.items()]
