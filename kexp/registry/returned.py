"""What a function returns, read from its source without calling it.

`def focal(gamma, alpha)` has two parameters, like a loss. If it defines a function and returns it, it is a factory.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kexp.signatures import written

__all__ = ["OWN", "returned_by"]

OWN = types.FunctionType  # stands for a function, or an instance of a class, that is defined inside the function
_KERAS = ("keras.", "tf_keras.", "tensorflow.keras.")


def returned_by(made: Callable[..., Any]) -> list[type[Any] | None]:
    """Returns what each `return` of a function returns.

    Args:
        made: the function.

    Returns:
        For each `return` a class, if it returns an instance of the class; `OWN`; or None for anything else. Empty if
        there is no source.
    """
    function = written(made)
    function = getattr(function, "__func__", function)
    return _returned(function) if isinstance(function, types.FunctionType) else []


@functools.lru_cache(maxsize=256)
def _returned(function: types.FunctionType) -> list[type[Any] | None]:
    try:
        node = _definition(ast.parse(textwrap.dedent(inspect.getsource(function))), function.__code__)
    except (OSError, TypeError, SyntaxError):
        return []
    if node is None:
        return []
    scope = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    if isinstance(node, ast.Lambda):
        return [_kind(node.body, scope)]
    for each in _own(node):
        scope.update(_defined(each))
    return [_kind(each.value, scope) for each in _own(node) if isinstance(each, ast.Return) and each.value is not None]


def _definition(tree: ast.AST, code: types.CodeType) -> ast.FunctionDef | ast.Lambda | None:
    names = list(code.co_varnames[: code.co_argcount])
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            taken = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
            if taken == names and getattr(node, "name", "<lambda>") == code.co_name:
                return node
    return None


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the nodes of a function, without those of functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _own(child)


def _defined(node: ast.AST) -> dict[str, Any]:
    """Returns the names that a statement binds, with an expression, a definition or an import's dotted name."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name: node}
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return {node.targets[0].id: node.value}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    if isinstance(node, ast.Import):
        tops = {each: each.name.partition(".")[0] for each in node.names}
        return {each.asname or tops[each]: each.name if each.asname else tops[each] for each in node.names}
    return {}


def _kind(value: Any, scope: Mapping[str, Any]) -> type[Any] | None:
    if isinstance(value, (ast.Lambda, ast.FunctionDef)):
        return OWN
    if isinstance(value, ast.Name):
        rest = {name: each for name, each in scope.items() if name != value.id}  # `x = f(x)` ends
        return _kind(scope.get(value.id), rest)
    if not isinstance(value, ast.Call):
        return None
    called = _named(value.func, scope)
    if called is functools.partial or isinstance(called, ast.ClassDef):
        return OWN
    if isinstance(called, str):  # imported inside the function
        is_class = called.startswith(_KERAS) and called.rpartition(".")[2][0].isupper()
        return OWN if is_class or called == "functools.partial" else None
    return called if isinstance(called, type) else None


def _named(value: ast.AST, scope: Mapping[str, Any]) -> Any:
    """Returns the object of a dotted name in the function's module; for an import inside the function, the name."""
    if isinstance(value, ast.Name):
        return scope.get(value.id)
    if not isinstance(value, ast.Attribute):
        return None
    owner = _named(value.value, scope)
    return f"{owner}.{value.attr}" if isinstance(owner, str) else getattr(owner, value.attr, None)
