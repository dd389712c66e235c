"""The program `kexp`: overrides run an experiment through Hydra, a first word that is a command runs the command."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from kexp._version import __version__
from kexp.commands import COMMANDS
from kexp.errors import ConfigError, KexpError, suggestion
from kexp.groups import GROUPS

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from kexp.experiment import Result

__all__ = ["main"]

# Hydra's flags that take a value, which must stay behind them when flags are moved before the overrides.
_VALUED = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn"}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 all well, 1 a run that failed, 2 a request that cannot be met."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"]
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # references to the user's own modules
    try:
        sys.exit(_dispatch(arguments))
    except KexpError as error:
        if debug:
            raise
        print(f"kexp: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        if debug:
            raise
        print("kexp: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `kexp components | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


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
            raise ConfigError(f"there is no command {first!r}{suggestion(first, COMMANDS)}")
        # What lives to the end need not be searched for cycles then: 0.7 s after MLflow's import.
        atexit.register(gc.freeze)
        module = importlib.import_module(f"kexp.commands.{first}")
        code: int = module.main(arguments[1:])
        return code
    return _hydra(arguments)


def _hydra(arguments: list[str]) -> int:
    """One experiment or a multirun, by Hydra's own command line."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from kexp.config import check_overrides, conf_folder, explain, register
    from kexp.training.backend import own_process

    flags, overrides, config_dir = _flags_first(arguments)
    _check_flags(flags)
    check_overrides(overrides)
    if overrides:
        from kexp.sweeps.opening import announce_backend

        announce_backend(overrides)
    register(config_dir)
    own_process()
    failures: list[Exception] = []

    def job(config: DictConfig) -> Any:
        try:
            return _run_job(config)
        except (KexpError, OmegaConfBaseException) as error:  # Hydra would print its own lines before ours
            failures.append(error)
            return None

    if {"-m", "--multirun"} & set(flags):
        from kexp.sweeps.hydra_jobs import run_job as job
        from kexp.sweeps.plugins import register as register_sweeps

        register_sweeps()
    before = sys.argv
    sys.argv = ["kexp", *flags, *overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us as they are; what the user sees is ours to say
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, overrides) from error
    finally:
        sys.argv = before
        os.environ.pop("HYDRA_FULL_ERROR", None)
    for failure in failures:
        raise failure if isinstance(failure, KexpError) else explain(failure, overrides) from failure
    return 0


def _run_job(config: DictConfig) -> float | None:
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from kexp.config import plain
    from kexp.schema import check

    checked = check(plain(config))
    _quiet()
    from kexp import experiment

    source = experiment.Source(
        overrides=tuple(HydraConfig.get().overrides.task), yaml=OmegaConf.to_yaml(config, resolve=False)
    )
    result = experiment.run(checked, Path(HydraConfig.get().runtime.output_dir), source=source)
    if checked.trainer.verbose:
        _summarise(result)
    return result.metrics.get("val_loss")


def _summarise(result: Result) -> None:
    from kexp.training.progress import format_metrics, format_seconds

    tested = {key: value for key, value in result.metrics.items() if key.startswith("test_")}
    lines = [("result", format_metrics(tested or result.history.last))]
    if result.history.stopped:
        lines.append(("stopped", result.history.stopped))
    lines.append(("time", format_seconds(result.duration_s)))
    if result.experiment.tracking.enabled:
        lines.append(("run", f"{result.name}  {result.run_id}"))
    folder = result.folder
    lines.append(("files", os.path.relpath(folder) if folder.is_relative_to(os.getcwd()) else str(folder)))
    if result.experiment.tracking.enabled:
        lines.append(("compare", "kexp ui"))
    for label, text in lines:
        print(f"{label:<8} {text}")
    for notice in (*result.history.notices, result.notice):
        if notice:
            print(notice, file=sys.stderr)


def _help() -> str:
    commands = "\n".join(f"  {name:<11} {help}" for name, help in COMMANDS.items())
    return f"""kexp [OVERRIDE ...]               run one experiment
kexp -m OVERRIDE=A,B ...          run a sweep: every combination
kexp COMMAND ...                  use what is recorded (kexp COMMAND --help)

An override chooses (optimizer=adam) or sets (optimizer.learning_rate=0.01, seed=3, trainer.epochs=50).
Groups to choose from: {", ".join(GROUPS)},
trainer, tracking, save, experiment. `kexp components GROUP` lists a group, `kexp show GROUP NAME` explains a name.

commands
{commands}

flags
  --cfg job              print the composed config and stop
  --config-dir DIR       a folder of YAML of your own, which wins over kexp's
  -m, --multirun         run a sweep
  --debug                show tracebacks
  --hydra-help           Hydra's other flags
  --version              print kexp's version
"""


def _flags_first(arguments: list[str]) -> tuple[list[str], list[str], str | None]:
    """Flags, overrides, and the user's config folder, which is ours to see to.

    Hydra refuses overrides on both sides of a flag; the order between them means nothing.
    """
    config_dir = None
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for each in rest:
        if not each.startswith("-"):
            overrides.append(each)
            continue
        if each in ("--config-dir", "-cd"):
            config_dir = next(rest, None)
            if config_dir is None:
                raise ConfigError(f"{each}: must be followed by a folder")
            continue
        if each.startswith("--config-dir="):
            config_dir = each.partition("=")[2]
            continue
        flags.append(each)
        if each in _VALUED:
            flags += [value for value in [next(rest, None)] if value is not None]
    return flags, overrides, config_dir


def _check_flags(flags: list[str]) -> None:
    """Refuses in a sentence what Hydra would answer with its usage."""
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; see `kexp --help` and `kexp --hydra-help`")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    for each in parser.parse_known_args(flags)[1]:
        raise ConfigError(f"there is no flag {each!r}{suggestion(each, parser._option_string_actions)}")


def _quiet() -> None:
    """Keeps the warnings of the libraries underneath from the user; their errors still show."""
    warnings.filterwarnings("ignore")
