"""Convert the result of a user's data function to Data."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kexp.data.inference import arrays
from kexp.data.source import PART_NAMES, Data, GivenSplits, consecutive
from kexp.data.sources.materialise import materialise, of_columns
from kexp.data.targets import is_one_hot
from kexp.errors import DataError, suggestion

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["as_data"]

ACCEPTED = (
    "kexp.data.Data, (x, y) or (x, y, weight) of arrays or pandas, ((x, y), (x_test, y_test)), "
    "{'train': (x, y), 'validation': ..., 'test': ...}, a finite tf.data.Dataset, a keras.utils.PyDataset "
    "or a generator of batches that ends"
)


class Rows(NamedTuple):
    """Features, targets and weights, as given, and the names of the targets' columns, if they have names."""

    x: Any
    y: Any
    weight: Any = None
    targets: tuple[str, ...] | None = None

    def columns(self) -> tuple[str, ...]:
        """The names of the targets' columns, made up if they have none."""
        count = 1 if self.y.ndim == 1 else self.y.shape[1]
        return self.targets or (("y",) if count == 1 else tuple(f"y_{index}" for index in range(count)))


def as_data(made: object, *, key: str = "data") -> Data:
    """Convert the result of a data component to Data.

    Args:
        made: a Data; (x, y) or (x, y, weight) of arrays, pandas objects, SciPy's sparse matrices, or a dict of columns
            as x; two of these, as training and test rows, or three, with validation rows between them; or a mapping of
            these with the names train, validation and test. A finite `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator of batches or rows may take the place of (x, y); it is read once, and large features go to a
            temporary file instead of memory.
        key: the config key, for messages.

    Raises:
        DataError: the result has another type, or `arrays` refuses the data.
    """
    if isinstance(made, Data):
        return made
    if isinstance(made, Mapping):
        for name in made:
            if name not in PART_NAMES:
                raise DataError(f"{key}: there is no split {name!r}{suggestion(str(name), PART_NAMES)}")
        return _from_parts({name: _rows(part, key) for name, part in made.items()}, key)
    if isinstance(made, (tuple, list)) and len(made) in (2, 3) and all(_is_part(part) for part in made):
        names = PART_NAMES if len(made) == 3 else ("train", "test")
        return _from_parts({name: _rows(part, key) for name, part in zip(names, made, strict=True)}, key)
    return _data(_rows(made, key), None, key)


def _is_part(part: object) -> bool:
    return (isinstance(part, tuple) and len(part) in (2, 3)) or _comes_in_batches(part)


def _comes_in_batches(made: object) -> bool:
    """Return whether this is a dataset or a generator. Objects of libraries that are not imported cannot occur."""
    tensorflow, keras = sys.modules.get("tensorflow"), sys.modules.get("keras")
    if tensorflow is not None and isinstance(made, tensorflow.data.Dataset):
        return True
    return isinstance(made, Iterator) or (keras is not None and isinstance(made, keras.utils.PyDataset))


def _rows(part: object, key: str) -> Rows:
    if _comes_in_batches(part):
        part = materialise(part, key)
    if isinstance(part, (tuple, list)) and len(part) in (2, 3):
        names = ("x", "y", "weight")
        # Tables and columns of PyArrow and Polars become those of pandas.
        part = [each.to_pandas() if callable(getattr(each, "to_pandas", None)) else each for each in part]
        values = [_values(each, name, key) for each, name in zip(part, names, strict=False)]
        return Rows(*values)._replace(targets=_names_of(part[1]))
    raise DataError(f"{key}: must be made of {ACCEPTED}, got {type(part).__name__}")


def _values(values: Any, name: str, key: str) -> Any:
    """Return the values as an array; a pandas object stays one if it holds features, and so does a dict of columns."""
    if name == "x" and isinstance(values, Mapping):
        import pandas as pd

        try:
            values = of_columns(values, key) if any(map(_has_more, values.values())) else pd.DataFrame(values)
        except ValueError as error:
            raise DataError(f"{key}: x must have columns of one length, but {error}") from None
    names = getattr(getattr(values, "dtype", None), "names", None)
    if name == "x" and names:
        import pandas as pd

        values = pd.DataFrame({column: _decoded(values[column]) for column in names})
    if callable(getattr(values, "toarray", None)):
        values = values.toarray()  # a sparse matrix of SciPy's
    if isinstance(values, np.memmap) or (name == "x" and _is_frame(values)):
        return values
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{key}: {name} must be a rectangular array, got rows of different lengths") from None
    if array.ndim == 0:
        raise DataError(f"{key}: must be made of {ACCEPTED}, got {type(values).__name__} for {name}")
    array = _decoded(array)
    if name == "x" and array.dtype.kind in "OUM" and array.ndim <= 2:
        return _framed(array)
    return array


def _has_more(column: Any) -> bool:
    """Return whether an array of a mapping has more than one dimension."""
    return getattr(column, "ndim", 1) > 1


def _names_of(y: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a pandas object, if it has names."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(y, (pandas.DataFrame, pandas.Series)):
        return None
    names = [y.name] if isinstance(y, pandas.Series) else list(y.columns)
    return tuple(names) if all(isinstance(name, str) for name in names) else None


def _decoded(array: NDArray[Any]) -> NDArray[Any]:
    """Return texts that are bytes, as TensorFlow returns them, as texts."""
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind == "O" and array.size and isinstance(array.flat[0], bytes):
        texts = [each.decode("utf-8") if isinstance(each, bytes) else each for each in array.flat]
        return np.array(texts, dtype=object).reshape(array.shape)
    return array


def _is_frame(values: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(values, pandas.DataFrame)


def _framed(array: Any) -> Any:
    """Convert an array of text, dates or mixed objects to a data frame; return an array of numbers as it is."""
    import pandas as pd

    if array.dtype.kind == "O":
        try:
            return array.astype(np.float32)
        except (TypeError, ValueError):
            pass
    wide = array[:, None] if array.ndim == 1 else array
    names = (
        ["text"]
        if wide.shape[1] == 1 and array.dtype.kind != "M"
        else [f"column_{index}" for index in range(wide.shape[1])]
    )
    return pd.DataFrame(wide, columns=names).infer_objects()


def _data(rows: Rows, splits: GivenSplits | None, key: str) -> Data:
    if _is_frame(rows.x):
        if len(rows.x.columns) == 1 and _is_prose(texts := rows.x.iloc[:, 0]):
            from kexp.data.sequences.text import text_rows

            return text_rows(texts.fillna("").tolist(), rows.y, rows.weight, splits, key, rows.columns())
        return _of_frame(rows, splits, key)
    return arrays(rows.x, rows.y, weights=rows.weight, splits=splits, target_names=rows.targets, key=key)


def _of_frame(rows: Rows, splits: GivenSplits | None, key: str) -> Data:
    """Return Data of a data frame, encoded as a table."""
    from kexp.data.table.data import data_of
    from kexp.data.table.options import ReadOptions
    from kexp.data.table.plan import Plan
    from kexp.data.table.reading import read_frame

    frame: pd.DataFrame = rows.x.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns]
    y = np.asarray(rows.y)
    y = y[:, None] if y.ndim == 1 else y
    if len(frame) != len(y):
        raise DataError(f"{key}: x and y must have as many rows, got {len(frame)} and {len(y)}")
    if y.ndim > 2:
        raise DataError(f"{key}: targets of a data frame must be columns, got the shape {y.shape}")
    names = [_free(name, frame) for name in rows.columns()]
    if is_one_hot(y):
        y, names = np.array(names, dtype=object)[y.argmax(axis=1)][:, None], [_free("y", frame)]
    for index, name in enumerate(names):
        frame[name] = y[:, index]
    weight = None
    if rows.weight is not None:
        weight = _free("weight", frame)
        frame[weight] = np.asarray(rows.weight)
    return data_of(read_frame(frame, ReadOptions()), Plan(target=tuple(names), weight=weight), splits)


def _is_prose(texts: Any) -> bool:
    """Return whether a column has texts of several words, unlike numbers or names of categories."""
    return texts.dtype.kind in "OU" and sum(len(str(text).split()) for text in texts) > 2 * len(texts)


def _free(name: str, frame: pd.DataFrame) -> str:
    while name in frame.columns:
        name += "_"
    return name


def _from_parts(parts: dict[str, Rows], key: str) -> Data:
    """Return one Data with the rows of all parts, and the parts as given splits."""
    shapes = {np.shape(part.x)[1:] for part in parts.values()}
    if len(shapes) > 1:
        raise DataError(f"{key}: features must have one shape in every split, got {sorted(shapes)}")
    for name, part in parts.items():
        if len(part.x) != len(part.y):
            raise DataError(f"{key}: x and y of {name} must have as many rows, got {len(part.x)} and {len(part.y)}")
    kinds = {"text" if part.y.dtype.kind in "OUS" else "number" for part in parts.values()}
    if len(kinds) > 1:
        raise DataError(f"{key}: targets must be of one kind in every split, got names and numbers")
    if len({part.weight is None for part in parts.values()}) > 1:
        raise DataError(f"{key}: every split must have weights, or none")
    x = _joined([part.x for part in parts.values()])
    y = np.concatenate([part.y for part in parts.values()])
    weighted = all(part.weight is not None for part in parts.values())
    weight = np.concatenate([part.weight for part in parts.values()]) if weighted else None
    splits = consecutive({name: len(part.x) for name, part in parts.items()})
    return _data(Rows(x, y, weight, next(iter(parts.values())).targets), splits, key)


def _joined(features: Sequence[Any]) -> Any:
    if len(features) == 1:
        return features[0]
    if _is_frame(features[0]):
        import pandas as pd

        return pd.concat(features, ignore_index=True)
    return np.concatenate(features)
