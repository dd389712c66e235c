"""The child process of `keras_sets`: loads a data set with `keras.datasets` and writes it as plain arrays."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["load", "main"]


def load(name: str, words: int | None = None, length: int | None = None) -> dict[str, Any]:
    """Load x_train, y_train, x_test and y_test of a Keras data set, with texts padded to one length."""
    import numpy as np

    module = importlib.import_module(f"keras.datasets.{name}")
    given = {} if words is None else {"num_words": words}
    (x_train, y_train), (x_test, y_test) = module.load_data(**given)
    if length is not None:
        from keras.utils import pad_sequences

        x_train, x_test = (pad_sequences(x, maxlen=length) for x in (x_train, x_test))
    y_train, y_test = (np.asarray(y).reshape(-1) for y in (y_train, y_test))
    return {"x_train": np.asarray(x_train), "y_train": y_train, "x_test": np.asarray(x_test), "y_test": y_test}


def main(arguments: list[str]) -> int:
    """Run the command `NAME FILE [words=N length=N]`. An error is printed as one line on standard error."""
    import numpy as np

    name, file, *options = arguments
    try:
        arrays = load(name, **{key: int(value) for key, _, value in (each.partition("=") for each in options)})
    except Exception as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    with open(file, "wb") as target:
        np.savez(target, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
