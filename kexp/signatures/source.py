"""The signature of a class or function, read from its source file without an import."""

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
    """Returns name -> `module:name` of its definition, for the names that a module exports. Imports nothing.

    These are the names of `__all__`; without it, the public classes and functions that the module defines, and those
    that it imports by `from x import Y as Y`, as Keras' modules do.
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
    """Returns the signature of `module:name`. Follows imports, and the bases of a class without an `__init__`."""
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
    """Returns the first sentence of the documentation of `module:name`. Imports nothing.

    Does not parse the whole module, which would be slow for a list of hundreds of components.
    """
    module, name = target.split(":")
    while (home := exported(module).get(name, "")) not in ("", f"{module}:{name}"):
        module, name = home.split(":")
        if not source_file(module).name.startswith("__init__"):
            break
    pattern = rf'^(?:class|def) {name}\b.*?:\n\s+r?"""(.*?)(?:\n\s*\n|""")'
    written = re.search(pattern, _text(module), re.DOTALL | re.MULTILINE)
    return " ".join(written.group(1).split()) if written else of_source(target).summary


def statements(module: str) -> list[ast.stmt]:
    """Returns a module's statements, read from its source file."""
    return _tree(module).body


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_text(module))


@cache
def _text(module: str) -> str:
    return source_file(module).read_text(encoding="utf-8")


@cache
def source_file(module: str) -> Path:
    """Returns a module's source file, found without importing the module or its parents."""
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
    """Returns the absolute name of the module in a `from ... import` statement of `module`."""
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
            pass  # for example, a text that starts at the beginning of a line; the whole module is parsed instead
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
    """Returns the module and the name that `name` is imported from; `module` and `name` if it is not imported."""
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
