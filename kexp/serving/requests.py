"""Finds the rows in a request: a frame, columns by name, records, lists or arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import RequestError, numbers_of, shown, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrays_of", "frame_of", "items_of"]


def frame_of(given: Any, names: Sequence[str]) -> Any:
    """Returns a request as a pandas DataFrame.

    Args:
        given: a frame, a Series with one row, columns by name, one or several records, or rows of values in the order
            of `names`.
        names: the columns that the model needs.

    Raises:
        RequestError: the request has no such rows.
    """
    import pandas as pd

    if isinstance(given, pd.Series):
        given = given.to_frame().T
    elif isinstance(given, Mapping):
        columns = {str(name): _unquoted(values) for name, values in given.items()}
        single = not any(isinstance(values, (list, tuple, np.ndarray, pd.Series)) for values in columns.values())
        given = _to_frame([columns] if single else columns)
    elif isinstance(given, (list, tuple)) and given and all(isinstance(each, Mapping) for each in given):
        given = _to_frame([{name: _unquoted(value) for name, value in each.items()} for each in given])
    elif not isinstance(given, pd.DataFrame):
        given = _to_frame(given)
    if isinstance(given.columns, pd.RangeIndex):
        if len(given.columns) != len(names):
            raise RequestError(
                f"rows without names must have {len(names)} values, {', '.join(names)}, got {len(given.columns)}"
            )
        given = given.set_axis(list(names), axis=1)
    present = set(given.columns)
    trimmed = {each: str(each).strip() for each in present if each not in names and str(each).strip() in names}
    # A file's " width" is read as `width`; pandas keeps the space.
    return given.rename(columns={each: name for each, name in trimmed.items() if name not in present})


def items_of(given: Any, name: str) -> Any:
    """Returns a request as a sequence of texts or images: the column `name` of a frame, or its only column.

    Raises:
        RequestError: a frame has no such column.
    """
    import pandas as pd

    if isinstance(given, Mapping):
        given = given if name not in given and len(given) > 1 else given.get(name, next(iter(given.values()), None))
    if isinstance(given, (list, tuple)) and given and all(isinstance(each, Mapping) for each in given):
        given = pd.DataFrame(list(given))
    if isinstance(given, Mapping):
        given = pd.DataFrame(given)
    if isinstance(given, pd.DataFrame):
        if name not in given.columns and len(given.columns) != 1:
            raise RequestError(f"the column {name!r} must be there, got {_list_names(given.columns)}")
        given = given[name] if name in given.columns else given.iloc[:, 0]
    if isinstance(given, pd.Series):
        return given.tolist()
    return given.item() if isinstance(given, np.ndarray) and given.ndim == 0 else given


def arrays_of(given: Any, shape: Sequence[int], names: Sequence[str] | None) -> NDArray[np.float32]:
    """Returns a request as features, shape (rows, *shape), for a model of data without an encoding.

    Args:
        given: an array or lists of this shape or of flat rows; a frame with the features by name or in order; or a
            frame with a column of lists.
        shape: the shape of a row.
        names: the names of the features; None if they have no names.

    Raises:
        RequestError: the request has another shape, or values that are not finite numbers.
    """
    import pandas as pd

    if isinstance(given, Mapping) and len(given) == 1 and not names:
        given = next(iter(given.values()))
    if isinstance(given, (Mapping, pd.Series)) or (
        isinstance(given, (list, tuple)) and given and all(isinstance(each, Mapping) for each in given)
    ):
        given = frame_of(given, names or ())
    if isinstance(given, pd.DataFrame):
        given = _numbers(given, shape, names)
    try:
        found = np.asarray(given)
        found = found.astype(np.float32) if found.dtype.kind in "biufOU" else found
    except (ValueError, TypeError):
        raise RequestError(f"rows must be numbers of the shape {_shown(shape)}, got others") from None
    if found.dtype != np.float32:
        raise RequestError(f"rows must be numbers of the shape {_shown(shape)}, got {found.dtype.name}")
    if found.shape == tuple(shape):
        found = found[None]
    if found.shape[1:] != tuple(shape):
        if found.ndim != 2 or found.shape[1] != math.prod(shape):
            raise RequestError(f"rows must have the shape {_shown(shape)}, got {_shown(found.shape[1:])}")
        found = found.reshape(len(found), *shape)
    finite = np.isfinite(found).reshape(len(found), -1).all(axis=1)
    if not finite.all():
        raise RequestError(f"rows must be finite, got NaN or infinity in row {int(np.argmin(finite)) + 1}")
    return found


def _numbers(frame: Any, shape: Sequence[int], names: Sequence[str] | None) -> Any:
    """Returns the features of a frame: by name if it has one of the names, else in order."""
    if names and set(names) & set(map(str, frame.columns)):
        frame = frame.rename(columns=str)
        absent = [name for name in names if name not in frame.columns]
        if absent:
            raise RequestError(f"the column {absent[0]!r} must be there, got {_list_names(frame.columns)}")
        frame = frame[list(names)]
    elif len(frame.columns) == 1 and math.prod(shape) > 1:
        return np.array(frame.iloc[:, 0].tolist())
    if len(frame.columns) != math.prod(shape):
        raise RequestError(f"rows must have {math.prod(shape)} columns, got {len(frame.columns)}")
    columns = [numbers_of(frame.iloc[:, place], str(name)) for place, name in enumerate(frame.columns)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(frame), 0))


def texts_in(given: Any, name: str) -> list[str]:
    """Returns a request as texts; a missing text is empty.

    Raises:
        RequestError: an item is not a text.
    """
    items = items_of(given, name)
    items = [items] if isinstance(items, str) else items
    if not isinstance(items, (list, tuple, np.ndarray)):
        raise RequestError(f"must be texts, got {type(given).__name__}")
    for row, each in enumerate(items, start=1):
        if not isinstance(each, str) and text_of(each) is not None:
            raise RequestError(f"column {name!r} must hold text, got {shown(each)} in row {row}")
    return [text_of(each) or "" for each in items]


def _to_frame(rows: Any) -> Any:
    import pandas as pd

    try:
        return pd.DataFrame(rows)
    except (ValueError, TypeError) as error:
        raise RequestError(f"must be rows of a table: {str(error)[:1].lower()}{str(error)[1:]}") from None


def _unquoted(values: Any) -> Any:
    """Restores missing texts: MLflow reads null in JSON as the text "None" if the array has texts."""
    if isinstance(values, np.str_):
        return None if values == "None" else str(values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return [None if value == "None" else value for value in values.tolist()]
    return values


def _list_names(columns: Any) -> str:
    return ", ".join(map(repr, columns)) or "none"


def _shown(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
