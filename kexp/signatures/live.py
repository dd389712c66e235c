"""The signature of a live callable."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any, Literal, get_args

from kexp.signatures.parameter import (
    REQUIRED,
    UNREADABLE,
    Parameter,
    Signature,
    argument_helps,
    written_members,
)

__all__ = [
    "of_callable",
    "written",
]


def of_callable(made: Callable[..., Any]) -> Signature:
    """Returns the signature of a live callable, with annotations as objects if they can be resolved."""
    declared = getattr(made, "kexp_signature", None)
    if isinstance(declared, Signature):
        return declared
    signature = inspect.signature(made)
    scope = _scope(made)
    documentation = _documentation(written(made))
    helps = argument_helps(documentation)
    parameters = tuple(
        _with_members(
            Parameter(
                p.name,
                REQUIRED if p.default is p.empty else p.default,
                None if p.annotation is p.empty else _resolved(p.annotation, scope),
                helps.get(p.name, ""),
                keyword_only=p.kind is p.KEYWORD_ONLY,
                positional_only=p.kind is p.POSITIONAL_ONLY,
            )
        )
        for p in signature.parameters.values()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    )
    kinds = {p.kind for p in signature.parameters.values()}
    return Signature(
        parameters,
        documentation,
        open=inspect.Parameter.VAR_KEYWORD in kinds,
        any_positional=inspect.Parameter.VAR_POSITIONAL in kinds,
    )


def _with_members(parameter: Parameter) -> Parameter:
    """Returns the parameter with a default that a config can hold; that of an enum takes the texts of its members."""
    default = parameter.default
    options = get_args(parameter.annotation) or (parameter.annotation,)
    kind = next((each for each in (type(default), *options) if inspect.isclass(each) and issubclass(each, Enum)), None)
    if kind is None:
        return parameter if default is REQUIRED else replace(parameter, default=_readable(default))
    members = written_members(kind)
    default = next((text for text, member in members.items() if member is default), default)
    rule: Any = Literal[tuple(members)]
    if default is None or type(None) in options:
        rule = rule | None
    return replace(parameter, default=default, annotation=rule, members=kind)


def _readable(default: Any) -> Any:
    """Returns a default as a config can hold it; `UNREADABLE` for a function, an array or another object."""
    if getattr(default, "shape", None) == () and hasattr(default, "dtype"):
        return default.item()  # a NumPy number
    if isinstance(default, dict):
        plain = all(isinstance(key, str) and _readable(each) is not UNREADABLE for key, each in default.items())
    elif isinstance(default, (list, tuple)):
        plain = all(_readable(each) is not UNREADABLE for each in default)
    else:
        plain = default is None or isinstance(default, (bool, int, float, str))
    return default if plain else UNREADABLE


def _documentation(made: Callable[..., Any]) -> str:
    """Returns a function's docstring; a class's own, its `__init__`'s, or that of the base whose `__init__` it has."""
    if not inspect.isclass(made):
        return inspect.getdoc(made) or ""
    for kind in made.__mro__[:-1]:
        init = vars(kind).get("__init__")
        if documentation := vars(kind).get("__doc__") or getattr(init, "__doc__", None):
            return inspect.cleandoc(documentation)
        if init is not None:  # a base's docstring is about other parameters
            break
    return ""


def _scope(made: Callable[..., Any]) -> dict[str, Any]:
    """Returns the global names that a callable's annotations may use."""
    function = made.__init__ if inspect.isclass(made) else written(made)
    return dict(getattr(function, "__globals__", {}))


def written(made: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function inside partials, wrappers and compiled functions."""
    while isinstance(made, functools.partial):
        made = made.func
    return made if inspect.isclass(made) else inspect.unwrap(made)


def _resolved(annotation: Any, scope: dict[str, Any]) -> Any:
    """Returns an annotation as an object; None if it has names that are imported only for type checkers."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, scope)
    except Exception:  # user code may raise anything; the parameter then has no rule
        return None
