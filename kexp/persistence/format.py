"""The protocol of a file format for saved models, which other packages can implement."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kexp.errors import ConfigError

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Format", "Predictor", "carries", "check_formats"]


@runtime_checkable
class Predictor(Protocol):
    """A loaded model without layers, from a format that saves only the model's function."""

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """Returns predictions of shape (batch, outputs) for inputs of shape (batch, ...)."""


class Format(Protocol):
    """One way to write a model. A component of the group `kexp.format` is a factory without arguments that returns one.

    Four more attributes are optional, with the default in brackets:

    - `carries` ("model"): the content of the file: "model", "weights", "architecture" or "function" (predictions only).
    - `tolerance` (1e-5): largest difference of predictions after reading back, as a share of the largest
      absolute prediction. Weights, if the file has them, are always compared bit for bit.
    - `requires_backend` (None): names of the only Keras backends on which it works.
    - `requires_package` (None): a pair of the importable packages that it needs and the command that installs them.

    Two more methods are optional:

    - `optimizer_values(path)` returns the arrays of the optimizer's state in the file. They are compared with the
      model's optimizer when the file is read back.
    - `serving(contract)` returns the same format for models whose raw rows and outputs are known, as in `serving.json`.
      That format may have an attribute `notice`, a line to print before training, and a method `difference(loaded)`,
      which compares what was read back with the contract and returns what differs, or None.
    """

    filename: str
    """Name of the file, or of the folder, inside the `saved/` folder."""

    def save(self, model: keras.Model, path: Path) -> None:
        """Writes `model` to `path`, whose name ends in `filename` and which does not exist yet."""

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> keras.Model | Predictor:
        """Loads the model at `path`, not compiled.

        Args:
            path: a file or folder that `save` wrote.
            architecture: builds the model with new weights, for a format that saves only weights.
        """


def carries(fmt: Format) -> str:
    """Returns the content of a format's file: "model", "weights", "architecture" or "function"."""
    return str(getattr(fmt, "carries", "model"))


def check_formats(formats: Mapping[str, Format], backend: str, key: str = "save.formats") -> None:
    """Refuses formats that cannot work in this environment. Does not import Keras.

    Args:
        formats: the chosen formats by registry name.
        backend: name of the Keras backend that the run will use.
        key: config key for messages.

    Raises:
        ConfigError: a format needs another backend or a package that is not installed, or two write the same file.
    """
    written_by: dict[str, str] = {}
    for name, fmt in formats.items():
        backends = getattr(fmt, "requires_backend", None)
        if backends and backend not in backends:
            raise ConfigError(f"{key}: {name} needs backend={' or '.join(sorted(backends))}, got {backend!r}")
        packages, install = getattr(fmt, "requires_package", None) or ((), "")
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            raise ConfigError(f"{key}: {name} needs {', '.join(missing)}; install with: {install}")
        other = written_by.setdefault(fmt.filename, name)
        if other != name:
            raise ConfigError(f"{key}: {other} and {name} both write {fmt.filename}; choose one of them")
