"""The signature of a class or function in a source file, which is not imported."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from kexp.signatures.parameter import REQUIRED, UNREADABLE, Parameter, Signature, argument_helps

__all__ = [
    "exported",
    "of_source",
    "source_file",
    "statements",
    "summary_of_source",
]


def exported(module: str) -> dict[str, str]:
    """The names that a module offers, each with the `module:name` it comes from. Imports nothing.

    They are its `__all__`; without one, the public classes and functions that it defines and what it hands on by
    `from x import Y as Y`, the form that Keras' modules have.
    """
    names: dict[str, str] = {}
    handed_on: set[str] = set()
    listed: list[str] | None = None
    for statement in _tree(module).body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                public = alias.asname or alias.name
                names[public] = f"{_from(module, statement)}:{alias.name}"
                handed_on |= {public} if alias.asname else set()
        elif isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
            names[statement.name] = f"{module}:{statement.name}"
            handed_on.add(statement.name)
        elif isinstance(statement, ast.Assign) and [ast.unparse(each) for each in statement.targets] == ["__all__"]:
            value = _literal(statement.value)
            listed = value if isinstance(value, list) else None
    kept = handed_on if listed is None else set(listed)
    return {name: home for name, home in names.items() if name in kept and not name.startswith("_")}


@cache
def of_source(target: str) -> Signature:
    """The signature of `module:name`, read from the source file. Follows re-exports and, where a class has no
    `__init__` of its own, its bases."""
    module, name = target.split(":")
    node = _definition(module, name)
    if isinstance(node, ast.FunctionDef):
        return _of_function(node, ast.get_docstring(node) or "", skip=0)
    if isinstance(node, ast.ClassDef):
        documentation = ast.get_docstring(node) or ""
        init = _init_of(module, node)
        return Signature((), documentation) if init is None else _of_function(init, documentation, skip=1)
    raise LookupError(f"{target} is neither a class nor a function")


@cache
def summary_of_source(target: str) -> str:
    """The first sentence of the documentation of `module:name`, without parsing the whole of its module: what a list of
    hundreds of components needs. Imports nothing."""
    module, name = target.split(":")
    while (home := exported(module).get(name, "")) not in ("", f"{module}:{name}"):
        module, name = home.split(":")
        if not source_file(module).name.startswith("__init__"):
            break
    pattern = rf'^(?:class|def) {name}\b.*?:\n\s+r?"""(.*?)(?:\n\s*\n|""")'
    written = re.search(pattern, _text(module), re.DOTALL | re.MULTILINE)
    return " ".join(written.group(1).split()) if written else of_source(target).summary


def statements(module: str) -> list[ast.stmt]:
    """A module's own statements, read from its source file."""
    return _tree(module).body


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_text(module))


@cache
def _text(module: str) -> str:
    return source_file(module).read_text(encoding="utf-8")


@cache
def source_file(module: str) -> Path:
    """Where a module's source is, found without importing the module or its parents."""
    top, *rest = module.split(".")
    loaded = sys.modules.get(top)
    spec = getattr(loaded, "__spec__", None) or importlib.util.find_spec(top)
    if spec is not None and not rest and spec.origin and Path(spec.origin).suffix == ".py":
        return Path(spec.origin)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {top!r}", name=top)
    for location in spec.submodule_search_locations:
        base = Path(location, *rest)
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _from(module: str, statement: ast.ImportFrom) -> str:
    """The absolute name of the module that a `from ... import` in `module` reads."""
    if not statement.level:
        return statement.module or ""
    parts = module.split(".")
    is_package = source_file(module).name == "__init__.py"
    base = parts[: len(parts) - statement.level + is_package]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _definition(module: str, name: str) -> ast.stmt:
    # The definition's own lines parse much faster than a module of a thousand.
    own = re.search(rf"^(?:class|def) {name}\b.*?(?=^[^\s)\]}}#]|\Z)", _text(module), re.DOTALL | re.MULTILINE)
    if own is not None:
        try:
            (statement,) = ast.parse(own.group(0)).body
            return statement
        except (SyntaxError, ValueError):
            pass  # a string at the beginning of a line, say; the whole module tells
    for statement in _tree(module).body:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)) and statement.name == name:
            return statement
    if (home := _home(module, name)) != (module, name):
        return _definition(*home)
    raise LookupError(f"{module} does not define {name}")


def _init_of(module: str, node: ast.ClassDef) -> ast.FunctionDef | None:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return statement
    for base in node.bases:
        try:
            if isinstance(base, ast.Name):
                home, parent = _home(module, base.id)
            elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
                owner, inner = _home(module, base.value.id)
                home, parent = f"{owner}.{inner}", base.attr
            else:
                continue
            definition = _definition(home, parent)
        except (LookupError, ModuleNotFoundError):
            continue
        if isinstance(definition, ast.ClassDef):
            return _init_of(home, definition)
    return None


def _home(module: str, name: str) -> tuple[str, str]:
    """The module and name that `name` stands for inside `module`."""
    for statement in _tree(module).body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return _from(module, statement), alias.name
    return module, name


def _of_function(node: ast.FunctionDef, documentation: str, skip: int) -> Signature:
    arguments = node.args.posonlyargs + node.args.args
    defaults: list[ast.expr | None] = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
    pairs = list(zip(arguments, defaults, strict=True))[skip:]
    by_name = list(zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True))
    helps = argument_helps(documentation)
    parameters = tuple(
        Parameter(arg.arg, _literal(default), None, helps.get(arg.arg, ""), keyword_only=(arg, default) in by_name)
        for arg, default in [*pairs, *by_name]
    )
    return Signature(
        parameters, documentation, open=node.args.kwarg is not None, any_positional=node.args.vararg is not None
    )


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return UNREADABLE
    return list(value) if isinstance(value, tuple) else value
