"""`kexp resume SWEEP`: runs the missing and failed trials of a sweep by the sweep's own command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from kexp.commands.support.options import add_experiment, store_parser
from kexp.errors import ConfigError

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit code."""
    parser = store_parser("resume", "Run the missing and failed trials of a sweep; finished ones are not run again.")
    parser.add_argument(
        "sweep", metavar="SWEEP", help="a sweep's name, its run's id or the beginning of that, or latest"
    )
    parser.add_argument(
        "overrides",
        metavar="OVERRIDE",
        nargs="*",
        help="settings to change: sweep.max_retries=3, hydra/launcher=serial",
    )
    add_experiment(parser)
    options = parser.parse_intermixed_args(list(arguments))
    from kexp.sweeps.stored_command import command_of
    from kexp.sweeps.sweep_command import run_sweep

    command = command_of(options.sweep, uri=options.tracking_uri, experiment=options.experiment)
    if not os.path.isdir(command.folder):
        raise ConfigError(
            f"SWEEP: the folder that {options.sweep!r} was run in is not on this machine: {command.folder}"
        )
    if command.delivered:
        print(f"kexp: {command.delivered}", file=sys.stderr)
    os.chdir(command.folder)
    run_sweep([*command.arguments, *options.overrides], command.config_dir, command.config_name)
    return 0
