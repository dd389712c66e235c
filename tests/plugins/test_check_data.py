"""`kexp plugin check` on data components: whatever form they return is loaded, counted, split and trained on."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from distributions import installed

from kexp import registry

SOURCE = '''
import numpy as np

N = 60


def _table(columns=4):
    x = np.random.default_rng(1).normal(size=(N, columns)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def dataset():
    "A tf.data.Dataset of batches."
    import tensorflow as tf
    return tf.data.Dataset.from_tensor_slices(_table()).batch(16)


def rows_of_dataset():
    "A tf.data.Dataset of rows."
    import tensorflow as tf
    return tf.data.Dataset.from_tensor_slices(_table())


def pair():
    "Arrays."
    return _table()


def weighted():
    "Arrays and a weight a row."
    x, y = _table()
    return x, y, np.linspace(0.5, 1.5, N).astype("float32")


def frame():
    "A data frame with a column of names."
    import pandas as pd
    x, y = _table()
    return pd.DataFrame({"length": x[:, 0], "colour": [("red", "blue")[row % 2] for row in range(N)]}), y


def pydataset():
    "A keras.utils.PyDataset."
    import keras
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4
        def __getitem__(self, index):
            x, y = _table()
            return x[15 * index : 15 * (index + 1)], y[15 * index : 15 * (index + 1)]
    return Batches()


def generator():
    "A generator of batches."
    x, y = _table()
    return ((x[start : start + 20], y[start : start + 20]) for start in range(0, N, 20))


def given_test():
    "Training and test rows."
    x, y = _table()
    return (x[:40], y[:40]), (x[40:], y[40:])


def given_parts():
    "Three parts."
    x, y = _table()
    return {"train": (x[:30], y[:30]), "validation": (x[30:45], y[30:45]), "test": (x[45:], y[45:])}


def data():
    "kexp's own class."
    from kexp.data import arrays
    return arrays(*_table())


def images():
    "Images of three classes."
    x = np.random.default_rng(1).normal(size=(N, 8, 8, 1)).astype("float32")
    return x, np.arange(N) % 3


def sequences():
    "Sequences."
    x = np.random.default_rng(1).normal(size=(N, 6, 3)).astype("float32")
    return x, (x[:, 0, 0] > 0).astype("int64")


def numbers():
    "A regression of two outputs."
    x, _ = _table()
    return x, x[:, :2] * 2.0


def labels():
    "Several labels in a row."
    x, _ = _table()
    return x, (x[:, :3] > 0).astype("float32")


def pixels():
    "A class at each pixel."
    x = np.random.default_rng(1).normal(size=(N, 6, 6, 1)).astype("float32")
    return x, (x[..., 0] > 0).astype("int64")


def endless():
    "Batches without an end."
    import tensorflow as tf
    return tf.data.Dataset.from_tensor_slices(_table()).batch(16).repeat()


def no_rows():
    "Nothing."
    return np.zeros((0, 4), "float32"), np.zeros(0, "int64")


def not_finite():
    "A feature that is no number."
    x, y = _table()
    x[7, 2] = np.nan
    return x, y


def uneven():
    "More rows than targets."
    x, y = _table()
    return x, y[:-1]


def of_a_file(path: str):
    "Needs a file."
    return tuple(np.loadtxt(path, delimiter=",")[:, column] for column in (0, 1))


class _Rows:
    """A source whose rows depend on the order in which they are read."""
    def __init__(self, how):
        self.how = how
        self.x, self.y = _table()
        self.reads = 0
    def __len__(self):
        return N
    def read(self, rows):
        self.reads += 1
        x, y = self.x[rows], self.y[rows]
        return (np.sort(x, axis=0), y) if self.how == "sorted" else (x + self.reads, y)


def _source(how):
    from kexp.data import Data, DataSpec
    source = _Rows(how)
    return Data(source, DataSpec((4,), "classification", ("no", "yes"), 2), "0" * 64, source.y)


def sorted_rows():
    "Sorted by each reading."
    return _source("sorted")


def moving_rows():
    "Others at each reading."
    return _source("moving")
'''
GOOD = ["dataset", "generator", "labels"]
MORE = (
    "rows_of_dataset pair weighted frame pydataset given_test given_parts data images sequences numbers pixels".split()
)
BAD = {
    "endless": "",
    "no_rows": "has no rows",
    "not_finite": "features must be finite",
    "uneven": "x and y must have as many rows",
    "sorted_rows": "must return the same features in any order of rows",
    "moving_rows": "must return the same features each time a row is read",
}


def checked(folder: Path, names: list[str]) -> tuple[int, dict[str, str]]:
    """The exit code, and what is printed of each component."""
    from kexp.testing import installed as suite

    entries = {"kexp.data": {name: f"their_rows:{name}" for name in names}}
    out = io.StringIO()
    with installed(folder / "site", "their-rows", {"their_rows": SOURCE}, entries), contextlib.redirect_stdout(out):
        code = suite.check([registry.find("data", name) for name in names])
    parts = ("\n" + out.getvalue()).split("\ndata=")[1:]
    return code, {part.split()[0]: part for part in parts}


def test_what_loads_lazily_is_really_checked(tmp_path: Path) -> None:
    code, told = checked(tmp_path, GOOD)
    assert (code, list(told)) == (0, GOOD)
    assert all(" ok, 1" in each for each in told.values()), told  # ten checks and more


@pytest.mark.slow
def test_every_form_that_a_data_component_may_return_is_checked(tmp_path: Path) -> None:
    code, told = checked(tmp_path, MORE)
    assert (code, list(told)) == (0, MORE), told
    assert all(" ok, 1" in each for each in told.values()), told


def test_data_that_breaks_a_promise_is_named(tmp_path: Path) -> None:
    code, told = checked(tmp_path, [*BAD, "of_a_file"])
    assert code == 1
    for name, sentence in BAD.items():
        assert "their-rows 1.0  FAILED" in told[name]
        assert sentence in told[name]
    assert "not checked\n    data=of_a_file: needs a value for path" in told["of_a_file"]
