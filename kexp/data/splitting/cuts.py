"""Choose the rows of a part at random, by group or by time, and divide rows into folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from kexp.data.source import Data
from kexp.errors import DataError
from kexp.system.large_arrays import counted, gathered, numbered, selected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SplitBy", "cut", "folds_of", "split_kind"]

SplitBy = Literal["random", "time", "group"]


def split_kind(data: Data, by: str | None) -> str:
    """Return the kind of split: `by` if given, else the data's own.

    Raises:
        DataError: the kind is unknown, or the data has no times or groups to split by.
    """
    if by is None:
        return data.split_by
    if by not in ("random", "time", "group"):
        raise DataError(f"data.split: must be random, time or group, got {by!r}")
    if (by == "time" and data.times is None) or (by == "group" and data.groups is None):
        raise DataError(f"data.split: {by} needs data.{by}, a column of {by}s that tables and series name")
    return by


def cut(
    data: Data, rows: NDArray[np.intp], fraction: float, random: np.random.Generator, *, by: str, name: str, key: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Separate a fraction of rows.

    Args:
        data: the data.
        rows: row numbers.
        fraction: the fraction to separate, above 0 and below 1.
        random: the random generator.
        by: "random": random rows, in the proportions of the classes. "group": random whole groups. "time": the last
            rows; rows of equal time stay together, and a row that begins before the cut and ends after it is dropped.
        name: the name of the separated part, for messages.
        key: the config key of the fraction, for messages.

    Returns:
        The row numbers that remain, and those that are separated, both ascending.

    Raises:
        DataError: a part would be empty.
    """
    n = len(rows)
    total = int(np.floor(n * fraction + 0.5))
    if total == 0:
        raise DataError(f"{key}: leaves no {name} rows, got {fraction} of {n}")
    if total >= n:
        raise DataError(f"{key}: leaves no training rows, got {fraction} of {n}")
    if by == "time":
        return _by_time(data, rows, total, name)
    taken = _by_group(data, rows, total, random, name) if by == "group" else _by_chance(data, rows, total, random)
    if not taken.any():
        classes = len(np.unique(data.targets[rows]))
        raise DataError(
            f"{key}: leaves no {name} rows, for the only row of a class is a training row, and there are {classes} "
            f"classes in {n} rows"
        )
    return selected(rows, ~taken), selected(rows, taken)


def folds_of(
    data: Data, rows: NDArray[np.intp], count: int, random: np.random.Generator, *, by: str
) -> NDArray[np.intp]:
    """Assign each row to a fold: in the proportions of the classes, or by whole groups.

    Args:
        data: the data.
        rows: row numbers.
        count: the number of folds.
        random: the random generator.
        by: "random" or "group".

    Returns:
        The fold of each row, from 0; shape (rows,).

    Raises:
        DataError: the split is by time, or there are fewer rows, rows of a class, or groups than folds.
    """
    if by == "time":
        raise DataError(
            "data.folds: must not be given with a split by time, which would validate on what was before the training "
            "rows; leave folds out, or set data.split=random"
        )
    if len(rows) < count:
        raise DataError(f"data.folds: must be at most the {len(rows)} rows besides the test part, got {count}")
    labels = data.targets[rows] if data.spec.is_stratified else np.zeros(len(rows), dtype=np.intp)
    if by == "group":
        assert data.groups is not None
        return _group_folds(data.groups[rows], labels, count, random)
    if data.spec.is_stratified:
        counts = np.bincount(labels, minlength=data.spec.outputs)
        present = np.flatnonzero(counts)
        rarest = present[np.argmin(counts[present])]
        if counts[rarest] < count:
            raise DataError(
                f"data.folds: each of {count} folds needs a row of every class, but {data.class_name(rarest)!r} has "
                f"{counts[rarest]} besides the test part"
            )
    # Deal out the rows in turn, class by class: folds differ by at most one row, in total and for each class.
    order = random.permutation(len(rows))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(rows), dtype=np.intp)
    folds[order] = np.arange(len(rows)) % count
    return folds


def _by_chance(data: Data, rows: NDArray[np.intp], total: int, random: np.random.Generator) -> NDArray[np.bool_]:
    taken = np.zeros(len(rows), dtype=bool)
    if data.spec.is_stratified:
        labels, positions = gathered(data.targets, rows), numbered(len(rows))
        counts = counted(labels, data.spec.outputs)
        present = np.flatnonzero(counts)
        for label, count in zip(present, _shares(counts[present], total), strict=True):
            places = selected(positions, labels == label)
            random.shuffle(places)
            taken[places[:count]] = True
    else:
        places = numbered(len(rows))
        random.shuffle(places)
        taken[places[:total]] = True
    return taken


def _by_group(
    data: Data, rows: NDArray[np.intp], total: int, random: np.random.Generator, name: str
) -> NDArray[np.bool_]:
    assert data.groups is not None
    found, member, sizes = np.unique(data.groups[rows], return_inverse=True, return_counts=True)
    if len(found) < 2:
        raise DataError(f"data.group: leaves no group for the {name} part, got {len(found)} group in {len(rows)} rows")
    order = random.permutation(len(found))
    so_far = np.cumsum(sizes[order])[:-1]  # at least one group remains
    count = int(np.argmin(np.abs(so_far - total))) + 1
    taken: NDArray[np.bool_] = np.isin(member, order[:count])
    return taken


def _by_time(data: Data, rows: NDArray[np.intp], total: int, name: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    assert data.times is not None
    begins, ends = data.times[rows, 0], data.times[rows, 1]
    times, first = np.unique(np.sort(begins), return_index=True)
    counts = len(rows) - first  # number of rows from each time on
    for place in np.argsort(np.abs(counts - total), kind="stable"):
        stays = ends < times[place]
        if stays.any():
            return rows[stays], rows[begins >= times[place]]
    raise DataError(f"data.time: leaves no rows before the {name} part, got {len(times)} times in {len(rows)} rows")


def _group_folds(
    groups: NDArray[np.intp], labels: NDArray[np.intp], count: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """Assign groups to folds, largest first, each to the fold with the fewest rows of the group's classes."""
    found, member = np.unique(groups, return_inverse=True)
    if len(found) < count:
        raise DataError(f"data.folds: must be at most the {len(found)} groups besides the test part, got {count}")
    classes, label = np.unique(labels, return_inverse=True)
    held = np.zeros((len(found), len(classes)))
    np.add.at(held, (member, label), 1.0)
    share = held / held.sum(axis=0)
    filled = np.zeros((count, len(classes)))
    fold_of = np.empty(len(found), dtype=np.intp)
    order = random.permutation(len(found))
    for group in order[np.argsort(-held[order].sum(axis=1), kind="stable")]:
        fold = int(np.argmin(filled @ share[group]))
        fold_of[group] = fold
        filled[fold] += share[group]
    return fold_of[member]


def _shares(counts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return how many rows of each class to separate, so that they sum to `total` in the proportions of the classes.

    The largest-remainder method, within bounds: at least one row of a class that has two is separated, and at least one
    row remains. The bounds take precedence over `total`.
    """
    ideal = counts * (total / counts.sum())
    low, high = np.minimum(1, counts - 1), counts - 1
    shares: NDArray[np.intp] = np.clip(np.floor(ideal).astype(np.intp), low, high)
    while shares.sum() != total:
        step = 1 if shares.sum() < total else -1
        room = shares < high if step > 0 else shares > low
        if not room.any():
            break
        shares[np.argmax(np.where(room, step * (ideal - shares), -np.inf))] += step
    return shares
