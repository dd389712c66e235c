"""Reads an untrusted model file in a process of its own and writes plain arrays.

Damaged HDF5 files can hang or crash the library that reads them, so the process limits its own memory and CPU time
before it opens the file. It does not import Keras. It writes an `.npz` of arrays and a JSON list of their names, and
answers in JSON too, because a hostile file may have taken the process over.
"""

from __future__ import annotations

import io
import json
import zipfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_MAX_DEPTH, _MAX_ITEMS, _MAX_TEXT = 24, 100_000, 8 << 20


def inspect(
    connection: Connection, path: Path, kind: str, out: Path, memory_bytes: int, cpu_s: int, max_bytes: int
) -> None:
    """Reads the file, and writes its content into a folder. Runs in the child process.

    Args:
        connection: gets the answer: JSON, `{"error": TEXT}` or `{}`.
        path: the file.
        kind: "h5", "weights", "keras", "json" or "yaml".
        out: the folder, which gets `arrays.npz` and `tree.json`.
        memory_bytes: the largest address space of this process.
        cpu_s: the longest CPU time of this process, in seconds.
        max_bytes: the largest size of the arrays in the file.
    """
    _limit_resources(memory_bytes, cpu_s, max_bytes)
    answer = {}
    try:
        config, nodes = _read(path, kind, max_bytes)
        _write(out, config, nodes)
    except MemoryError:
        answer = {"error": f"it needs more than {memory_bytes} bytes of memory"}
    except RecursionError:
        answer = {"error": "it is nested too deeply"}
    except Exception as error:  # a damaged file may raise anything in the libraries
        answer = {"error": " ".join(str(error).split())[:300] or type(error).__name__}
    connection.send_bytes(json.dumps(answer).encode())


def _limit_resources(memory_bytes: int, cpu_s: int, max_bytes: int) -> None:
    """Limits the memory, the CPU time and the size of files of this process."""
    try:
        import resource
    except ImportError:  # Windows has no such limits; the parent's time limit still applies
        return
    for what, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 2 * max_bytes + (1 << 20)),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (allowed, allowed))


def _read(path: Path, kind: str, max_bytes: int) -> tuple[Any, list[dict[str, Any]]]:
    """Returns the config, None if the file has none, and every group and dataset of its weights."""
    if kind == "json":
        return json.loads(path.read_text(encoding="utf-8")), []
    if kind == "yaml":
        import yaml

        return yaml.safe_load(path.read_text(encoding="utf-8")), []
    if kind == "keras":
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_read_member(archive, "config.json", _MAX_TEXT))
            return config, _hdf5(io.BytesIO(_read_member(archive, "model.weights.h5", max_bytes)), "", max_bytes)[1]
    if kind == "h5":
        text, nodes = _hdf5(path, "model_weights", max_bytes)
        return json.loads(text), nodes
    return None, _hdf5(path, "", max_bytes)[1]


def _read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Reads a file of an archive.

    Raises:
        ValueError: it is larger than `max_bytes`.
    """
    with archive.open(name) as file:
        content = file.read(max_bytes + 1)  # the size in the archive's directory may be wrong
    if len(content) > max_bytes:
        raise ValueError(f"{name} in it is larger than {max_bytes} bytes")
    return content


def _hdf5(source: Any, root: str, max_bytes: int) -> tuple[str, list[dict[str, Any]]]:
    import h5py

    with h5py.File(source, "r") as file:
        text = file.attrs.get("model_config", "") if root else ""
        text = text.decode("utf-8") if isinstance(text, bytes) else str(text)
        if len(text) > _MAX_TEXT:
            raise ValueError("its model_config is too long")
        if root and not isinstance(file.get(root, getlink=True), h5py.HardLink):
            raise ValueError(f"it has no group {root}")
        # The optimizer's state is skipped, because the model will be compiled again.
        return text, _walk(file[root] if root else file, max_bytes, skip="" if root else "optimizer")


def _walk(root: Any, max_bytes: int, skip: str) -> list[dict[str, Any]]:
    """Returns every group and dataset below `root`, parents first; refuses links, cycles and external data."""
    import h5py

    nodes: list[dict[str, Any]] = []
    seen: set[Any] = set()
    left = max_bytes
    todo: list[tuple[str, Any, int]] = [("", root, 0)]
    while todo:
        path, item, depth = todo.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen or depth > _MAX_DEPTH or len(nodes) >= _MAX_ITEMS:
            raise ValueError(f"{path or '/'} is reached twice, or there are too many levels or items")
        seen.add(address)
        node: dict[str, Any] = {"path": path, "attrs": _attributes(item)}
        nodes.append(node)
        if isinstance(item, h5py.Dataset):
            node["array"] = _read_array(path, item, left)
            left -= node["array"].nbytes
        elif isinstance(item, h5py.Group):
            for name in item:
                if path == "" and name == skip:
                    continue
                inner = f"{path}/{name}" if path else name
                if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                    raise OSError(f"{inner} is a link")
                todo.append((inner, item[name], depth + 1))
        else:
            raise OSError(f"{path} is neither a group nor a dataset")
    return nodes


def _read_array(path: str, dataset: Any, left: int) -> Any:
    """Reads a dataset of an HDF5 file.

    Raises:
        ValueError: it is in another file, not of numbers, not finite, or larger than `left` bytes.
    """
    import numpy as np

    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{path} keeps its values in another file")
    if dataset.dtype.kind not in "fiub" or dataset.shape is None:
        raise ValueError(f"{path} is not an array of numbers")
    if dataset.size * dataset.dtype.itemsize > left:
        raise ValueError(f"{path} is too large: {dataset.shape}")
    array = np.asarray(dataset[()])
    if not np.isfinite(array).all():
        raise ValueError(f"{path} has values that are not finite")
    return array


def _attributes(item: Any) -> dict[str, Any]:
    """Returns the text attributes, such as names of layers and weights; Keras writes no others."""
    import numpy as np

    found: dict[str, Any] = {}
    for name in item.attrs:
        value = item.attrs[name]
        if isinstance(value, (bytes, str)):
            found[name] = value.decode() if isinstance(value, bytes) else value
        elif isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "SO":
            found[name] = [each.decode() if isinstance(each, bytes) else str(each) for each in value]
        elif isinstance(value, np.ndarray) and value.size == 0:
            found[name] = []
        else:
            raise ValueError(f"its attribute {name[:80]} is not text")
    return found


def _write(out: Path, config: Any, nodes: list[dict[str, Any]]) -> None:
    import numpy as np

    arrays = {str(index): node.pop("array") for index, node in enumerate(nodes) if "array" in node}
    np.savez(out / "arrays.npz", **arrays)
    (out / "tree.json").write_text(json.dumps({"config": config, "nodes": nodes}), encoding="utf-8")
