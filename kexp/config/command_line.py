"""Hydra's command line: reads flags in any position, refuses wrong ones in a sentence, and shows pages and configs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from kexp.config.overrides.suggestions import suggest_override
from kexp.config.unset import name_default_optimizer
from kexp.errors import ConfigError, suggestion

__all__ = ["CommandLine", "read_command_line", "show"]

# Hydra's flags that take a value. The value must follow its flag when flags are moved before the overrides.
_VALUED = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_VALUED |= {"--info", "-i", "--experimental-rerun"}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class CommandLine:
    """A command line, parsed.

    Attributes:
        flags: Hydra's flags, as its parser returns them.
        overrides: the other arguments.
        config_dir: the user's folder of YAML; None if not given.
        config_name: the name of the primary config.
    """

    flags: argparse.Namespace
    overrides: list[str]
    config_dir: str | None
    config_name: str

    @property
    def multirun(self) -> bool:
        """Whether `-m` was given."""
        return bool(self.flags.multirun)

    @property
    def shows(self) -> bool:
        """Whether a flag asks to print something instead of running."""
        flags = self.flags
        return bool(flags.help or flags.hydra_help or flags.cfg or flags.info)


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Parses flags and overrides in any order. Hydra itself refuses overrides on both sides of a flag.

    Args:
        arguments: without the program's name.

    Raises:
        ConfigError: a flag is unknown, lacks its value or conflicts with another.
    """
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; see `kexp --help` and `kexp --hydra-help`")

    typed, written = _split_flags(arguments)
    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    flags, unknown = parser.parse_known_args(typed)
    for each in unknown:
        rest = list(arguments)[list(arguments).index(each) + 1 :] if each in arguments else []
        suggested = suggest_override(each, rest[0] if rest and "=" not in rest[0] else "")
        raise ConfigError(f"there is no flag {each!r}{suggested or suggestion(each, parser._option_string_actions)}")
    _check(flags, refuse)
    return CommandLine(flags, written, flags.config_dir or flags.config_path, flags.config_name or "config")


def show(hydra: Any, line: CommandLine) -> int:
    """Prints the output of `--cfg`, `--info`, `--help` or `--hydra-help`.

    Args:
        hydra: an open Hydra; see `open_hydra`.
        line: a command line with one of these flags.

    Returns:
        The exit code.
    """
    from hydra._internal.utils import get_args_parser

    flags, name, overrides = line.flags, line.config_name, line.overrides
    flags.overrides = overrides
    if flags.help:
        hydra.app_help(config_name=name, args_parser=get_args_parser(), args=flags)
    elif flags.hydra_help:
        hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=flags)
    elif flags.cfg:
        composed = hydra.compose_config
        hydra.compose_config = lambda *given, **more: name_default_optimizer(composed(*given, **more))
        try:
            hydra.show_cfg(name, overrides, flags.cfg, flags.package, flags.resolve)
        except SystemExit:  # Hydra has printed that the package does not exist
            return 2
    else:
        hydra.show_info(flags.info, config_name=name, overrides=overrides)
    return 0


def _split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        each = rest.pop(0)
        if not each.startswith("-"):
            overrides.append(each)
            continue
        flags.append(each)
        if each in ("--info", "-i"):  # its value may be left out
            flags += [rest.pop(0)] if rest and rest[0] in _INFO else []
        elif each in _VALUED and rest:
            flags.append(rest.pop(0))
    return flags, overrides


def _check(flags: argparse.Namespace, refuse: Any) -> None:
    if flags.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun: reads a pickle, which may run any code; `kexp reproduce RUN` runs a run again, "
            "from its config"
        )
    if flags.shell_completion:
        raise ConfigError("--shell-completion: is `kexp completion SHELL` here, with SHELL one of bash, zsh and fish")
    if flags.config_path is not None and flags.config_dir is not None:
        raise ConfigError("--config-path: is another name for --config-dir here; give one of them")
    modes = {"--run": flags.run, "--multirun": flags.multirun, "--cfg": flags.cfg, "--info": flags.info}
    given = [name for name, value in modes.items() if value]
    if len(given) > 1:
        refuse(f"{' and '.join(given)} do not go together")
    if flags.package is not None and not flags.cfg:
        refuse("--package: says which part of the config --cfg shows; give --cfg as well")
    if flags.resolve and not (flags.cfg or flags.help):
        refuse("--resolve: is for what --cfg or --help shows; give one of them as well")
