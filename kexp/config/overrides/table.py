"""kexp's support for each key under `hydra` and each flag of Hydra 1.3: as documented, better, or refused.

The table in `docs/hydra.md` is generated from this one, and a test compares both with Hydra.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kexp.config.options import key_of
from kexp.errors import ConfigError

__all__ = ["FLAGS", "KEYS", "Entry", "refuse_filled_in", "rows"]


@dataclass(frozen=True)
class Entry:
    """A key or a flag.

    Attributes:
        how: `documented` (as in Hydra's documentation), `better` (different; `text` describes it) or `refused`.
        text: its effect, or why it is refused.
    """

    how: Literal["documented", "better", "refused"]
    text: str


def _documented(text: str) -> Entry:
    return Entry("documented", text)


def _better(text: str) -> Entry:
    return Entry("better", text)


_FILLED_IN = Entry("refused", "Hydra sets it; you can read it, as in `${hydra:runtime.cwd}`, but not set it")

KEYS: dict[str, Entry] = {
    "mode": _documented("`MULTIRUN` makes the command a sweep without `-m`, also in a preset"),
    "searchpath": _documented(
        "further folders or packages with YAML files, set in the primary config or on the command line"
    ),
    "run.dir": _documented("the folder of a run"),
    "sweep.dir": _better(
        "the folder of a sweep; by default `multirun/NAME`, where NAME is `sweep.name` or the date and time"
    ),
    "sweep.subdir": _better("the folder of a trial in the sweep's folder; two trials with the same folder are refused"),
    "hydra_logging": _better("`none` by default, since kexp prints its own lines"),
    "job_logging": _better("`none` by default; the output of a trial goes to its `trial.log`, and a line says so"),
    "sweeper": _better("`grid` by default; `basic` is Hydra's own. `params` may contain lists of values in YAML"),
    "launcher": _better("`auto` by default, also in a preset: see [sweeps](sweeps.md#launch)"),
    "callbacks": _better(
        "all six hooks; on kexp's launchers those of a trial run in the sweep's process. A hook that fails is reported"
    ),
    "help.app_name": _documented("used in the page of `kexp --help OVERRIDE ...`"),
    "help.header": _documented("used in the page of `kexp --help OVERRIDE ...`"),
    "help.footer": _documented("used in the page of `kexp --help OVERRIDE ...`"),
    "help.template": _documented("the page of `kexp --help OVERRIDE ...`; `kexp --help` alone is kexp's own"),
    "hydra_help.hydra_help": _documented("used in the page of `--hydra-help`"),
    "hydra_help.template": _documented("the page of `--hydra-help`"),
    "output_subdir": _better(
        "the folder of the config's files; a trial has it only if you set the key, since MLflow has each run's config"
    ),
    "overrides.hydra": _FILLED_IN,
    "overrides.task": _FILLED_IN,
    "job.name": _documented("for interpolations and logs; `kexp` by default"),
    "job.chdir": Entry(
        "refused", "a run's files are in its folder anyway, and relative paths keep their meaning; `false` is accepted"
    ),
    "job.override_dirname": _FILLED_IN,
    "job.id": _FILLED_IN,
    "job.num": _FILLED_IN,
    "job.config_name": _FILLED_IN,
    "job.env_set": _documented("environment variables during a run, or during a sweep and in its workers"),
    "job.env_copy": _documented(
        "environment variables that are copied to a job; a variable that does not exist is refused"
    ),
    "job.config.override_dirname.kv_sep": _documented("a separator in `${hydra.job.override_dirname}`"),
    "job.config.override_dirname.item_sep": _documented("a separator in `${hydra.job.override_dirname}`"),
    "job.config.override_dirname.exclude_keys": _documented("keys that `${hydra.job.override_dirname}` leaves out"),
    "runtime.version": _FILLED_IN,
    "runtime.version_base": _FILLED_IN,
    "runtime.cwd": _FILLED_IN,
    "runtime.config_sources": _FILLED_IN,
    "runtime.output_dir": _FILLED_IN,
    "runtime.choices": _FILLED_IN,
    "verbose": _better("shows debug logs, even if no logging is chosen"),
}

FLAGS: dict[str, Entry] = {
    "--help, -h": _better("alone, kexp's page; with overrides, Hydra's page with the config"),
    "--hydra-help": _documented("Hydra's page"),
    "--version": _better("kexp's version"),
    "--cfg, -c": _documented("prints the config: `job`, `hydra` or `all`"),
    "--resolve": _documented("resolves interpolations, with `--cfg` or `--help`; otherwise refused"),
    "--package, -p": _documented("prints a part of the config, with `--cfg`; otherwise refused"),
    "--run, -r": _documented("one run"),
    "--multirun, -m": _better("a sweep; the flag may be anywhere among the overrides"),
    "--shell-completion, -sc": Entry(
        "refused", "`kexp completion SHELL` completes commands, keys, values and runs, five times as fast"
    ),
    "--config-path, -cp": _better("an alias of `--config-dir`: kexp's own folder remains, after yours"),
    "--config-name, -cn": _documented("the primary config, a file of your folder"),
    "--config-dir, -cd": _better(
        "your folder of YAML files, relative to the working directory; it takes precedence over kexp's"
    ),
    "--experimental-rerun": Entry("refused", "it reads a pickle, which can run any code; use `kexp reproduce RUN`"),
    "--info, -i": _documented("prints Hydra's `searchpath`, `defaults`, `defaults-tree`, `config`, `plugins` or `all`"),
}


def refuse_filled_in(overrides: Iterable[str]) -> None:
    """Refuses overrides of keys that Hydra sets itself.

    Raises:
        ConfigError: an override sets such a key.
    """
    for each in overrides:
        key = key_of(each)
        if not key.startswith("hydra."):
            continue
        for known, entry in KEYS.items():
            if entry is _FILLED_IN and f"{key}.".startswith(f"hydra.{known}."):
                raise ConfigError(f"{key}: cannot be set, since Hydra fills it in; it can be read as ${{{key}}}")


def rows(table: dict[str, Entry], prefix: str = "") -> list[str]:
    """Formats the table's rows for `docs/hydra.md`.

    Args:
        table: `KEYS` or `FLAGS`.
        prefix: put before each key.
    """
    labels = {"documented": "as documented", "better": "better", "refused": "refused"}
    return [f"| `{prefix}{key}` | {labels[entry.how]} | {entry.text} |" for key, entry in table.items()]
