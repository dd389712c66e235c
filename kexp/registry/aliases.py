"""Keras' aliases for its own names: `uniform` is `random_uniform`, `mse` is `mean_squared_error`.

They are read from the source of Keras' tables, `ALL_OBJECTS_DICT`, and used only for names that kexp does not have.
"""

from __future__ import annotations

import ast
import re
from functools import cache

from kexp import signatures

__all__ = ["keras_aliases"]

_LISTED, _TABLE = "ALL_OBJECTS", "ALL_OBJECTS_DICT"


@cache
def keras_aliases(module: str) -> dict[str, str]:
    """Returns the names that a module of Keras accepts as text. Imports nothing.

    Args:
        module: a public module, such as `keras.losses`.

    Returns:
        Alias -> name of the class or function; empty for a module without a table.
    """
    package, _, rest = module.partition(".")
    if package != "keras":
        return {}
    try:
        statements = signatures.statements(f"{package}.src.{rest}")
    except (ModuleNotFoundError, SyntaxError, OSError):
        return {}
    found: dict[str, str] = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == _LISTED:
            found |= {each.id: each.id for each in ast.walk(statement.value) if isinstance(each, ast.Name)}
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
            target = statement.targets[0]
            if ast.unparse(target.value) == _TABLE and isinstance(statement.value, ast.Name):
                found[ast.literal_eval(target.slice)] = statement.value.id
        elif isinstance(statement, ast.Expr) and "to_snake_case(cls.__name__)" in ast.unparse(statement):
            found |= {re.sub("(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", each).lower(): each for each in found}
        elif isinstance(statement, ast.Expr) and ast.unparse(statement).startswith(f"{_TABLE}.update({{"):
            found |= {
                key.value: value.id
                for table in ast.walk(statement)
                if isinstance(table, ast.Dict)
                for key, value in zip(table.keys, table.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Name)
            }
    return found
