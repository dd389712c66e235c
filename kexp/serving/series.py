"""Cuts the last window of each series in a frame, from which the next steps are predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import RequestError, dates_of, numbers_of, texts_of
from .encoding import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["last_windows"]


def last_windows(frame: Any, encoding: Mapping[str, Any]) -> tuple[NDArray[np.float32], dict[str, list[str]]]:
    """Returns the last window of each series, in the order of the series' names.

    Args:
        frame: a pandas DataFrame with the columns of the run's series, and its rows in any order.
        encoding: what the run learned.

    Returns:
        The windows, shape (series, steps, features), and columns that identify them: the group, and the time of the
        window's last step.

    Raises:
        RequestError: a column is missing, a row has no time or group, or a series is shorter than the window.
    """
    plan = encoding["series"]
    for name in (plan["time"], plan["group"]):
        if name is not None and name not in frame.columns:
            raise RequestError(f"the column {name!r} must be there, got {', '.join(map(repr, frame.columns))}")
    times, shown = _times(frame[plan["time"]], plan["time"], encoding)
    groups, names = _groups(frame, plan["group"])
    order = np.lexsort((times, groups))
    times, groups = times[order], groups[order]
    twice = np.flatnonzero((np.diff(times) == 0) & (np.diff(groups) == 0))
    if len(twice):
        which = f"{plan['group']} {names[groups[twice[0]]]!r}" if plan["group"] else "the series"
        raise RequestError(f"a time must not occur twice in {which}, got {shown(order[twice[0]])} twice")
    ends = np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups))
    begins = np.append(0, ends[:-1])
    short = np.flatnonzero(ends - begins < plan["window"])
    if len(short):
        which = f"{plan['group']} {names[groups[begins[short[0]]]]!r}" if plan["group"] else "the series"
        raise RequestError(
            f"every series must have the {plan['window']} rows of a window, got {(ends - begins)[short[0]]} in {which}"
        )
    encoded = encode(frame, encoding)[order]
    windows = encoded[(ends - plan["window"])[:, None] + np.arange(plan["window"])]
    labels = {} if plan["group"] is None else {plan["group"]: [names[group] for group in groups[ends - 1]]}
    labels[f"{plan['time']} of the last step"] = [shown(row) for row in order[ends - 1]]
    return windows, labels


def _times(values: Any, name: str, encoding: Mapping[str, Any]) -> tuple[NDArray[np.float64], Any]:
    """Returns the time of each row as a number, and a function that formats the time of a row."""
    kind, form = encoding["kinds"].get(name, (None, None))
    dates = kind == "date" if kind else values.dtype.kind not in "iuf"
    times = dates_of(values, name, form) if dates else numbers_of(values, name, form)
    if np.isnan(times).any():
        row = int(np.argmax(np.isnan(times))) + 1
        raise RequestError(f"column {name!r} must have a value in every row, got none in row {row}")

    def shown(row: int) -> str:
        if dates:
            return str(np.datetime64(int(times[row]), "s")).replace("T00:00:00", "")
        return f"{times[row]:.12g}"

    return times, shown


def _groups(frame: Any, name: str | None) -> tuple[NDArray[np.intp], list[str]]:
    """Returns the index of each row's group, in the order of the groups' names or numbers, and the names."""
    if name is None:
        return np.zeros(len(frame), dtype=np.intp), [""]
    values = frame[name]
    if values.dtype.kind in "biuf":
        numbers = numbers_of(values, name)
        unique, codes = np.unique(numbers, return_inverse=True)
        missing, names = np.isnan(numbers), [f"{number:.12g}" for number in unique]
    else:
        found, words = texts_of(values)
        names = sorted(words)
        ranks = {word: rank for rank, word in enumerate(names)}
        codes, missing = np.array([*(ranks[word] for word in words), -1], dtype=np.intp)[found], found < 0
    if missing.any():
        raise RequestError(f"column {name!r} must have a value in every row, got none in row {np.argmax(missing) + 1}")
    return codes.astype(np.intp), names
