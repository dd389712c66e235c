from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from kexp.data.sources import builtin
from kexp.errors import DataError


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_bundled_data_is_scikit_learns(name: str) -> None:
    data = getattr(builtin, name)()
    theirs = getattr(datasets, f"load_{name}")()
    x, y = theirs.data, theirs.target
    found, targets = data.source.read(np.arange(len(x)))
    assert np.array_equal(found, x.astype(np.float32))
    assert np.array_equal(targets.reshape(-1), y)
    assert list(data.spec.feature_names) == list(theirs.feature_names)
    if "target_names" in theirs:
        assert list(data.spec.classes) == [str(each) for each in theirs.target_names]
    assert data.spec.task == ("regression" if name == "diabetes" else "classification")


def test_digits_fold_to_images_and_flowers_have_names() -> None:
    assert builtin.digits().spec.image_shape == (8, 8, 1)
    assert builtin.iris().spec.classes == ("setosa", "versicolor", "virginica")


def test_random_is_uniform_and_by_its_seed() -> None:
    data = builtin.random()
    assert (len(data), data.spec.feature_shape, data.spec.outputs) == (1000, (32,), 10)
    x, y = data.source.read(np.arange(1000))
    assert x.min() >= 0 and x.max() < 1 and abs(x.mean() - 0.5) < 0.02 and abs(y.mean() - 0.5) < 0.02
    assert builtin.random().digest == data.digest != builtin.random(seed=1).digest


def test_random_makes_classes_of_equal_size() -> None:
    data = builtin.random(rows=90, classes=3)
    assert np.bincount(data.targets).tolist() == [30, 30, 30]


def test_random_refuses_nonsense() -> None:
    with pytest.raises(DataError, match=r"^data\.rows: must be a positive integer, got 0$"):
        builtin.random(rows=0)
    with pytest.raises(DataError, match=r"^data\.classes: must be null or between 2 and the 9 rows, got 10$"):
        builtin.random(rows=9, classes=10)


def test_looking_at_data_components_imports_nothing_heavy() -> None:
    code = (
        "import sys, kexp.data, kexp.data.sources.builtin, kexp.data.sources.npz_file, kexp.data.table.component\n"
        "import kexp.data.tfrecord.component\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'tensorflow', 'keras'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
