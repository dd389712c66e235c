"""Groups and arrays of an HDF5 file as a dictionary, and back."""

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
    """Writes `tree`, with the text attributes of its groups, below the group `root` of a new file."""
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
                # Lists of names as Keras writes them: fixed-length bytes, which it decodes when it reads.
                item.attrs[key] = [each.encode() for each in value] if isinstance(value, list) else value


def read_tree(source: Path | BinaryIO, root: str = "", skip: str = "") -> dict[str, NDArray[Any] | None]:
    """The groups and arrays below `root` of a file of our own, less those in the group `skip`."""
    import h5py

    found: dict[str, NDArray[Any] | None] = {}
    with h5py.File(source, "r") as file:
        (file[root] if root else file).visititems(
            lambda name, item: found.update({name: item[()] if isinstance(item, h5py.Dataset) else None})
        )
    return {name: array for name, array in found.items() if not skip or f"{name}/".partition("/")[0] != skip}


def difference(expected: Tree, got: Tree) -> str | None:
    """Where the arrays of two trees differ in name, shape, type or any bit, as a sentence; None where they do not.

    Whole numbers are compared by value: backends count in integers of different widths.
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
