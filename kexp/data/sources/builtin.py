"""Data sets that need no network and no file of the user's: those bundled with scikit-learn, and random numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["breast_cancer", "diabetes", "digits", "iris", "random", "wine"]

# Feature names that scikit-learn's data files do not have.
_WINE = """
    alcohol malic_acid ash alcalinity_of_ash magnesium total_phenols flavanoids nonflavanoid_phenols proanthocyanins
    color_intensity hue od280/od315_of_diluted_wines proline
""".split()
_CELLS = [
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points"),
    *("symmetry", "fractal dimension"),
]


def digits() -> Data:
    """Handwritten digits: 1,797 images of 8 x 8 grey levels from 0 to 16, 10 classes."""
    import numpy as np

    from kexp.data.inference import arrays

    file = _file_of_scikit_learn("digits.csv.gz")
    if file is None:
        return _bundled("digits", image_shape=(8, 8, 1))
    table = np.loadtxt(file, delimiter=",")
    return arrays(
        table[:, :-1],
        table[:, -1].astype(int),
        classes=[str(digit) for digit in range(10)],
        feature_names=[f"pixel_{row}_{column}" for row in range(8) for column in range(8)],
        image_shape=(8, 8, 1),
    )


def iris() -> Data:
    """Iris flowers: 150 rows of 4 lengths in cm, 3 species."""
    return _of_csv("iris", [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")])


def wine() -> Data:
    """Wines: 178 rows of 13 chemical measurements, 3 cultivars."""
    return _of_csv("wine", _WINE, file="wine_data.csv")


def breast_cancer() -> Data:
    """Breast cancer, Wisconsin: 569 rows of 30 measurements of cell nuclei, malignant or benign."""
    cells = [*(f"mean {name}" for name in _CELLS), *(f"{name} error" for name in _CELLS)]
    return _of_csv("breast_cancer", [*cells, *(f"worst {name}" for name in _CELLS)])


def diabetes() -> Data:
    """Diabetes: 442 rows of 10 standardised measurements; regression of the disease's progress after a year."""
    return _bundled("diabetes")


def random(rows: int = 1000, features: int = 32, targets: int = 10, classes: int | None = None, seed: int = 0) -> Data:
    """Uniform random numbers, for tests: the features carry no information on the targets.

    Args:
        rows: number of rows; > 0.
        features: number of features, each uniform in [0, 1); > 0.
        targets: number of regression targets, each uniform in [0, 1); > 0; unused if `classes` is set.
        classes: number of random classes, >= 2; None for a regression.
        seed: random seed.
    """
    import numpy as np

    from kexp.data.inference import arrays
    from kexp.errors import DataError

    for name, value, low in (("rows", rows, 1), ("features", features, 1), ("targets", targets, 1)):
        if value < low:
            raise DataError(f"data.{name}: must be a positive integer, got {value!r}")
    if classes is not None and not 2 <= classes <= rows:
        raise DataError(f"data.classes: must be null or between 2 and the {rows} rows, got {classes!r}")
    if seed < 0:
        raise DataError(f"data.seed: must be at least 0, got {seed!r}")
    generator = np.random.default_rng(seed)
    x = generator.random((rows, features), dtype=np.float32)
    if classes is None:
        return arrays(x, generator.random((rows, targets), dtype=np.float32), task="regression")
    y = generator.permutation(np.arange(rows) % classes)  # every class present
    return arrays(x, y)


def _file_of_scikit_learn(name: str) -> Path | None:
    """Find a data file of scikit-learn without importing the package, which takes a second."""
    spec = importlib.util.find_spec("sklearn")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(folder, "datasets", "data", name)
        if file.is_file():
            return file
    return None


def _of_csv(name: str, features: list[str], file: str = "") -> Data:
    """Read a CSV file of scikit-learn: the class names end its first line, the class number ends each row."""
    import numpy as np

    from kexp.data.inference import arrays

    path = _file_of_scikit_learn(file or f"{name}.csv")
    if path is None:
        return _bundled(name)
    with path.open(encoding="utf-8") as lines:
        classes = next(lines).strip().split(",")[2:]
        table = np.loadtxt(lines, delimiter=",")
    return arrays(table[:, :-1], table[:, -1].astype(int), classes=classes, feature_names=features)


def _bundled(name: str, **options: Any) -> Data:
    from sklearn import datasets

    from kexp.data.inference import arrays

    loaded = getattr(datasets, f"load_{name}")()
    classes = loaded.get("target_names")
    return arrays(
        loaded.data,
        loaded.target,
        classes=None if classes is None else [str(label) for label in classes],
        feature_names=[str(feature) for feature in loaded.feature_names],
        **options,
    )
