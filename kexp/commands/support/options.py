"""What the commands share: argument parsers, the lookup of the run, default folders, hidden warnings."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.stored import StoredRun

__all__ = [
    "DEFAULT_FOLDERS",
    "RUN_HELP",
    "Parser",
    "add_experiment",
    "default_folders",
    "find_run_argument",
    "hide_warnings",
    "model_parser",
    "run_parser",
    "store_parser",
    "truncate",
]


RUN_HELP = (
    "a run's name, its id or the beginning of that, latest, best:SWEEP, runs:/ID, models:/NAME/VERSION or "
    "models:/NAME@ALIAS"
)

DEFAULT_FOLDERS = ("outputs", "multirun")
"""The folders of runs and sweeps, below the working directory."""

_STORE_KEYS = {"tracking.uri": "--tracking-uri", "tracking.experiment": "--experiment"}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, and that accepts the store as an override too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses as argparse does; `tracking.uri=URI` and `tracking.experiment=NAME` are read as flags."""
        argv = list(sys.argv[1:] if args is None else args)
        flags = argv[: argv.index("--")] if "--" in argv else argv
        for place, each in enumerate(flags):
            key, is_set, value = each.partition("=")
            if is_set and _STORE_KEYS.get(key) in self._option_string_actions:
                argv[place] = f"{_STORE_KEYS[key]}={value}"
        return super().parse_known_args(argv, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError (exit code 2) instead of printing the usage."""
        for each in self._actions:  # argparse lists optional positionals as required, too
            if not each.option_strings and each.nargs == "*":
                message = message.replace(f", {each.metavar}", "")
        raise ConfigError(f"{message}; see `{self.prog} --help`")


def store_parser(command: str, description: str) -> Parser:
    """Returns a parser for a command that reads the tracking store.

    Args:
        command: the command's name.
        description: one sentence for its help.
    """
    parser = Parser(prog=f"kexp {command}", description=description)
    parser.add_argument(
        "--tracking-uri",
        "--uri",
        metavar="URI",
        help="the store; by default MLFLOW_TRACKING_URI or sqlite:///mlflow.db in this folder",
    )
    return parser


def add_experiment(parser: Parser) -> None:
    """Adds the flag `--experiment` to the parser of a command on sweeps."""
    parser.add_argument(
        "--experiment", metavar="NAME", help="the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or kexp"
    )


def run_parser(command: str, description: str) -> Parser:
    """Returns a parser for a command on a run; arguments as of `store_parser`."""
    parser = store_parser(command, description)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--experiment", metavar="NAME", help="where to look for RUN; by default all experiments")
    parser.add_argument("--trust", action="store_true", help="load the files of a run on a server as trusted")
    return parser


def model_parser(command: str, description: str) -> Parser:
    """Returns a parser for a command on a run's model; arguments as of `store_parser`."""
    parser = run_parser(command, description)
    parser.add_argument("--format", metavar="NAME", help="which saved file to load; by default the best")
    return parser


def find_run_argument(args: argparse.Namespace) -> StoredRun:
    """Finds the run that parsed arguments of `run_parser` name.

    Raises:
        ConfigError: no run, or more than one, has that name.
        StoreError: the store cannot be read.
    """
    from kexp.stored import find

    return find(
        args.run, tracking_uri=args.tracking_uri, experiment=args.experiment, trusted=True if args.trust else None
    )


def default_folders() -> list[Path]:
    """Returns those of `DEFAULT_FOLDERS` that exist."""
    return [folder for folder in map(Path, DEFAULT_FOLDERS) if folder.is_dir()]


def truncate(text: str, most: int = 100) -> str:
    """Returns the text, cut to `most` characters with an ellipsis at its end."""
    return text if len(text) <= most else text[: most - 3] + "..."


def hide_warnings() -> None:
    """Hides the warnings of libraries; their errors still show."""
    warnings.filterwarnings("ignore")
