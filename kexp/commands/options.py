"""What the commands on stored runs have in common: options, the run they mean, and quiet."""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from kexp.errors import ConfigError

if TYPE_CHECKING:
    from kexp.stored import StoredRun

__all__ = ["RUN_HELP", "Parser", "add_experiment", "find_stored", "model_parser", "quiet", "run_parser", "store_parser"]


RUN_HELP = "a run's id, the beginning of one, latest, best:SWEEP, runs:/ID, models:/NAME/VERSION or models:/NAME@ALIAS"

_STORE_KEYS = {"tracking.uri": "--tracking-uri", "tracking.experiment": "--experiment"}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence, as all of kexp's, and that takes the store as runs do."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, with `tracking.uri=URI` and `tracking.experiment=NAME` for the flags, where there are any."""
        given = list(sys.argv[1:] if args is None else args)
        flags = given[: given.index("--")] if "--" in given else given
        for place, each in enumerate(flags):
            key, is_set, value = each.partition("=")
            if is_set and _STORE_KEYS.get(key) in self._option_string_actions:
                given[place] = f"{_STORE_KEYS[key]}={value}"
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError, exit code 2, in place of printing the usage."""
        for each in self._actions:  # argparse says of positionals that may be absent, too, that they are required
            if not each.option_strings and each.nargs == "*":
                message = message.replace(f", {each.metavar}", "")
        raise ConfigError(f"{message}; see `{self.prog} --help`")


def store_parser(command: str, description: str) -> Parser:
    """A parser for a command that reads the tracking store."""
    parser = Parser(prog=f"kexp {command}", description=description)
    parser.add_argument(
        "--tracking-uri",
        "--uri",
        metavar="URI",
        help="the store; MLFLOW_TRACKING_URI or sqlite:///mlflow.db in this folder unless given",
    )
    return parser


def add_experiment(parser: Parser) -> None:
    """Gives a parser of a command on sweeps the experiment to look in."""
    parser.add_argument(
        "--experiment", metavar="NAME", help="the MLflow experiment; MLFLOW_EXPERIMENT_NAME or kexp unless given"
    )


def run_parser(command: str, description: str) -> Parser:
    """A parser for a command on a run."""
    parser = store_parser(command, description)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--experiment", metavar="NAME", help="where to look for RUN; all experiments unless given")
    parser.add_argument("--trust", action="store_true", help="believe the files of a run that is on a server")
    return parser


def model_parser(command: str, description: str) -> Parser:
    """A parser for a command on a run's model."""
    parser = run_parser(command, description)
    parser.add_argument("--format", metavar="NAME", help="which saved file to load; the best there is unless given")
    return parser


def find_stored(given: argparse.Namespace) -> StoredRun:
    """The run that the arguments mean."""
    from kexp.stored import find

    return find(
        given.run, tracking_uri=given.tracking_uri, experiment=given.experiment, trusted=True if given.trust else None
    )


def quiet() -> None:
    """Keeps the warnings of the libraries underneath from the user; their errors still show."""
    warnings.filterwarnings("ignore")
