"""The program `kexp`: runs a command if the first word is one, else an experiment or a sweep by Hydra's overrides."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import shlex
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kexp._version import __version__
from kexp.commands import COMMANDS
from kexp.errors import ConfigError, KexpError, nearest, suggestion, without_passwords
from kexp.registry.groups import GROUPS
from kexp.system.disk import DiskFullError, disk_full_error, free_space_hint, is_disk_full
from kexp.system.folders import import_from_here, shown_path

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from kexp.experiment import Result

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits.

    The exit code is 0 for success, 1 for a failed run, 2 for a request that cannot be met, 130 for Ctrl-C.

    Args:
        argv: the arguments; those of the process by default.
    """
    atexit.register(gc.freeze)  # else the last look for garbage takes 0.7 s after MLflow's import
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"]
    import_from_here()
    try:
        sys.exit(_dispatch(arguments))
    except KexpError as error:
        if debug:
            raise
        print(f"kexp: {error}{free_space_hint(error)}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `kexp components | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if debug or not is_disk_full(error):
            raise
        print(f"kexp: {disk_full_error(error)}", file=sys.stderr)
        sys.exit(DiskFullError.exit_code)
    except KeyboardInterrupt:
        if debug:
            raise
        print("kexp: interrupted", file=sys.stderr)
        sys.exit(130)


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if arguments in (["--help"], ["-h"], ["help"]):
        print(_help())
        return 0
    if arguments == ["--version"]:
        print(f"kexp {__version__}")
        return 0
    if first.isidentifier():
        if first not in COMMANDS:
            from kexp.config import suggest_override

            suggested = suggest_override(first, "".join(arguments[1:3]).lstrip(":="))
            if not suggested and nearest(first, COMMANDS) is None:
                suggested = f"; to train, write overrides alone: kexp {' '.join(arguments[1:]) or 'model=mlp'}"
            raise ConfigError(f"there is no command {first!r}{suggested or suggestion(first, COMMANDS)}")
        module = importlib.import_module(f"kexp.commands.{first}")
        code: int = module.main(arguments[1:])
        return code
    return _hydra(arguments)


def _hydra(arguments: list[str]) -> int:
    """Runs one experiment or a sweep, or prints what a flag of Hydra's asks for; returns the exit code."""
    from kexp.sweeps.early_engine import expects_lanes, start_engine_early

    if expects_lanes(arguments):
        start_engine_early()
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from kexp.config import compose_head, explain, is_sweep, open_hydra, prepare_overrides, run_as_job
    from kexp.config.command_line import read_command_line, show

    line = read_command_line(arguments)
    line = replace(line, overrides=prepare_overrides(line.overrides))
    if line.overrides:
        from kexp.sweeps.sweep_command import announce_backend

        announce_backend(line.overrides, line.config_dir)
    try:
        with open_hydra(line.config_dir) as hydra:
            if line.shows:
                return show(hydra, line)
            from kexp.training import own_process

            own_process()
            if not line.multirun:
                config = compose_head(hydra, line.overrides, line.config_name)
                if not is_sweep(config):
                    results: list[Result] = []
                    command = without_passwords(shlex.join(["kexp", *arguments]))
                    run_as_job(hydra, config, line.overrides, lambda given: _run_job(given, command, results.append))
                    return int(any(result.rows_wait for result in results))
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, line.overrides) from error
    from kexp.sweeps.sweep_command import run_sweep

    run_sweep(line.overrides, line.config_dir, line.config_name)
    return 0


def _run_job(config: DictConfig, command: str, done: Callable[[Result], None]) -> float | None:
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from kexp.config import overrides_of, plain
    from kexp.schema import check

    checked = check(plain(config))
    warnings.filterwarnings("ignore")  # of libraries; their errors still show
    from kexp import experiment

    source = experiment.Source(
        overrides=tuple(overrides_of(HydraConfig.instance().cfg)),
        yaml=OmegaConf.to_yaml(config, resolve=False),
        command=command,
    )
    result = experiment.run(checked, Path(HydraConfig.get().runtime.output_dir), source=source)
    if checked.trainer.verbose:
        _summarise(result)
    for notice in (*(result.history.notices if checked.trainer.verbose else ()), result.notice):
        if notice:
            print(notice, file=sys.stderr)
    done(result)
    return result.metrics.get("val_loss")


def _summarise(result: Result) -> None:
    from kexp.experiment import store_of
    from kexp.tracking import command_line
    from kexp.training.progress import format_metrics, format_seconds

    tested = {key: value for key, value in result.metrics.items() if key.startswith("test_")}
    lines = [("result", format_metrics(tested or result.history.last))]
    if result.history.stopped:
        lines.append(("stopped", result.history.stopped))
    lines.append(("time", format_seconds(result.duration_s)))
    if result.experiment.tracking.enabled:
        lines.append(("run", f"{result.name}  {result.run_id}"))
    lines.append(("files", shown_path(result.folder)))
    if result.experiment.tracking.enabled:
        lines.append(("compare", command_line("ui", store=store_of(result.experiment))))
    for label, text in lines:
        print(f"{label:<8} {text}")


def _help() -> str:
    forms = {
        "kexp [OVERRIDE ...]": "run one experiment",
        "kexp -m OVERRIDE=A,B ...": "run a sweep: every combination",
        "kexp COMMAND ...": "work with data, runs and models (kexp COMMAND --help)",
    }
    overrides = (
        "An override chooses (optimizer=adam) or sets (optimizer.learning_rate=0.01, seed=3, trainer.epochs=50). "
        "`kexp components GROUP` lists a group, `kexp show GROUP NAME` describes one of it."
    )
    flags = {
        "--cfg job": "print the composed config and stop",
        "--config-dir DIR": "your folder of YAML, which takes precedence over kexp's",
        "-m, --multirun": "run a sweep",
        "--debug": "show tracebacks",
        "--hydra-help": "Hydra's other flags",
        "--version": "print kexp's version",
    }
    width = min(shutil.get_terminal_size().columns, 120)
    groups = f"Groups: {', '.join(GROUPS)}, trainer, tracking, save, experiment."
    return "\n".join(
        [
            *_listed(forms, "", width),
            "",
            textwrap.fill(overrides, width),
            textwrap.fill(groups, width),
            "",
            "commands",
            *_listed(COMMANDS, "  ", width),
            "",
            "flags",
            *_listed(flags, "  ", width),
        ]
    )


def _listed(described: Mapping[str, str], indent: str, width: int) -> list[str]:
    """Returns the lines of a list of names and what they are, with the second column aligned."""
    column = len(indent) + max(map(len, described)) + 2
    return [
        textwrap.fill(text, width, initial_indent=f"{indent}{name}".ljust(column), subsequent_indent=" " * column)
        for name, text in described.items()
    ]
