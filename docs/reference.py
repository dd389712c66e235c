"""Generate the pages of the reference from the commands, the settings and the registry.

`docs/conf.py` writes them before it builds the site.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

import kexp
from kexp import registry
from kexp.commands import COMMANDS
from kexp.config import compose, plain
from kexp.registry.groups import GROUPS
from kexp.rules import rule_of
from kexp.schema import SETTINGS, settings_of
from kexp.signatures import REQUIRED, UNREADABLE, Parameter

TOP = {
    "name": "The run's name; by default MLflow generates one.",
    "seed": "The seed of initial weights, the order of rows and the splits.",
    "backend": "Keras' backend: tensorflow, jax or torch.",
}


def pages() -> dict[str, str]:
    """Name -> text of each page."""
    os.environ["COLUMNS"] = "100"  # argparse breaks its lines there
    made = {"commands": _commands(), "config": _config(), "components": _components(), "python": _python()}
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def write(folder: Path) -> None:
    """Writes the pages.

    Args:
        folder: made where it is missing.
    """
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / f"{name}.md").write_text(text)


def _commands() -> Iterable[str]:
    yield "# Commands\n\n`kexp` and `python -m kexp` are the same program.\n"
    yield f"```text\n{_help([])}\n```\n"
    for name, summary in COMMANDS.items():
        yield f"## kexp {name}\n\n{summary[0].upper()}{summary[1:]}.\n\n```text\n{_help([name])}\n```\n"


def _help(words: Sequence[str]) -> str:
    from kexp.cli import main

    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return told.getvalue().rstrip()


def _config() -> Iterable[str]:
    whole = plain(compose([]))
    yield "# Config keys\n"
    yield "This page lists each key with its default and its rule. `kexp show trainer` shows the same for a node, and"
    yield "`kexp --cfg job` prints the whole config of a command.\n"
    yield from _table(["key", "default", "description"], [[f"`{k}`", _code(whole[k]), v] for k, v in TOP.items()])
    for node, kind in SETTINGS.items():
        yield f"\n## {node}\n\n{(kind.__doc__ or '').splitlines()[0]}\n"
        rows = [
            [f"`{node}.{each.name}`", _code(each.default), rule_of(each.annotation), each.help]
            for each in settings_of(node)
        ]
        yield from _table(["key", "default", "must be", "description"], rows)
    yield "\n## Components\n\nA node that chooses a component has the component's `name`, its parameters, and the keys"
    yield "that every member of the group has:\n"
    rows = [
        [f"`{group.node('NAME')}.{each.name}`", _code(each.default), rule_of(each.annotation), each.help]
        for group in GROUPS.values()
        for each in (*group.common, *group.own)
    ]
    yield from _table(["key", "default", "must be", "description"], rows)


def _components() -> Iterable[str]:
    yield "# Components\n\nThis page lists kexp's own components. `kexp components` also lists those of plugins, and"
    yield "`kexp show GROUP NAME` prints the documentation of a component.\n"
    for group in GROUPS.values():
        yield f"## {group.name}\n"
        rows = []
        for name, component in registry.components(group.name):
            if component.distribution != registry.OURSELVES:
                continue
            told = ", ".join(_parameter(each) for each in component.signature().parameters)
            rows.append([f"`{name}`", told])
        yield from _table(["name", "parameters"], rows)
        yield ""


def _parameter(each: Parameter) -> str:
    if each.default is REQUIRED or each.default is UNREADABLE:
        return f"`{each.name}`"
    return f"`{each.name}={_shown(each.default)}`"


def _python() -> Iterable[str]:
    yield "# Python\n\nThese names are public. The changelog lists every change, and a name warns for a release before"
    yield "it is removed.\n"
    public = {name: getattr(kexp, name) for name in kexp.__all__}
    for name, each in public.items():
        if callable(each):
            kind = "class" if isinstance(each, type) else "function"
            yield _autodoc(f"auto{kind}", f"kexp.{name}")
    for name, each in public.items():
        if isinstance(each, ModuleType):
            module = _autodoc("automodule", f"kexp.{name}", ":members:", ":show-inheritance:")
            yield f"## kexp.{name}\n\n{module}\n"


def _autodoc(directive: str, target: str, *options: str) -> str:
    lines = "".join(f"\n   {each}" for each in options)
    return f"```{{eval-rst}}\n.. {directive}:: {target}{lines}\n```"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _code(value: object) -> str:
    return f"`{_shown(value)}`"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(_shown(each) for each in value)}]" if isinstance(value, list) else str(value)
