"""Writes small files to check kexp's own data components with."""

from __future__ import annotations

from pathlib import Path

__all__ = ["parameters_of_file"]

_ROWS = 60


def parameters_of_file(name: str, folder: Path) -> dict[str, str]:
    """Writes a file of 60 rows of two classes.

    Args:
        name: the data component that reads the file.
        folder: an existing folder.

    Returns:
        Parameters with which the component reads the file; empty if the component reads no file.
    """
    import numpy as np

    random = np.random.default_rng(5)
    x = random.normal(size=(_ROWS, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    path = folder / f"rows.{name}"
    if name in ("csv", "table"):
        path = path.with_suffix(".csv")
        lines = [",".join([*map(str, row), "good" if good else "bad"]) for row, good in zip(x, y, strict=True)]
        path.write_text("\n".join(["length,width,mass,kind", *lines]), encoding="utf-8")
    elif name == "npz":
        np.savez(path, x=x, y=y)
    elif name == "tfrecord":
        from kexp.data import write_tfrecord

        write_tfrecord(path, x, y)
    else:
        return {}
    return {"path": str(path), **({"target": "kind"} if path.suffix == ".csv" else {})}
