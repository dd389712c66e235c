"""Reads the groups and arrays of an HDF5 file into a dictionary, and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tree", "difference", "read_tree", "write_tree"]

Tree = Mapping[str, "NDArray[Any] | None"]
"""Path below the root -> array, or None for a group; parents before children."""


def write_tree(
    path: Path, tree: Tree, attrs: Mapping[str, Mapping[str, Any]], root: str = "", config: str | None = None
) -> None:
    """Writes groups and arrays to a new file.

    Args:
        path: the file.
        tree: the groups and arrays.
        attrs: path of a group -> its text attributes.
        root: the group to write below; empty for the file's root.
        config: the file's attribute `model_config`; None for none.
    """
    import h5py

    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config
        top = file.create_group(root) if root else file
        for name, array in tree.items():
            if array is not None:
                top.create_dataset(name, data=array)
            item = top.require_group(name) if name and array is None else top[name] if name else top
            for key, value in attrs.get(name, {}).items():
                # Keras writes lists of names as fixed-length bytes and decodes them when it reads.
                item.attrs[key] = [each.encode() for each in value] if isinstance(value, list) else value


def read_tree(source: Path | BinaryIO, root: str = "", skip: str = "") -> dict[str, NDArray[Any] | None]:
    """Reads groups and arrays of a trusted file.

    Args:
        source: the file.
        root: the group to read below; empty for the file's root.
        skip: name of a group to leave out; empty for none.
    """
    import h5py

    found: dict[str, NDArray[Any] | None] = {}
    with h5py.File(source, "r") as file:
        (file[root] if root else file).visititems(
            lambda name, item: found.update({name: item[()] if isinstance(item, h5py.Dataset) else None})
        )
    return {name: array for name, array in found.items() if not skip or f"{name}/".partition("/")[0] != skip}


def difference(expected: Tree, got: Tree) -> str | None:
    """Compares the arrays of two trees by name, shape, dtype and every bit.

    Integers are compared by value, because backends use different widths.

    Args:
        expected: the arrays in the file.
        got: the arrays in the model.

    Returns:
        A sentence on the first difference; None if there is none.
    """
    import numpy as np

    one = {name: np.asarray(array) for name, array in expected.items() if array is not None}
    other = {name: np.asarray(array) for name, array in got.items() if array is not None}
    for name in sorted({*one, *other}):
        if name not in other:
            return f"the file has {name}, which the model does not"
        if name not in one:
            return f"the model has {name}, which the file does not"
        if one[name].dtype.kind == other[name].dtype.kind == "i" and np.array_equal(one[name], other[name]):
            continue
        in_file, in_model = (f"{each[name].dtype}{each[name].shape}" for each in (one, other))
        if in_file != in_model:
            return f"{name} is {in_file} in the file and {in_model} in the model"
        if one[name].tobytes() != other[name].tobytes():
            return f"{name} has other values in the model than in the file"
    return None
