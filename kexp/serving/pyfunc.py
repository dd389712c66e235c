"""The model that MLflow serves: what was sent made rows, rows made features, outputs named."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import RequestError
from .encoding import encode, used
from .images import images_of
from .names import FILE, PACKAGE
from .outputs import Outputs
from .parts import named, stand_ins
from .requests import arrays_of, frame_of, items_of, texts_in
from .series import last_windows
from .texts import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Served", "load"]

BATCH_ROWS = 1024  # as `kexp predict` has by default: other batches may change a last bit


class Served:
    """A run's model over raw rows.

    Args:
        model: the Keras model.
        kept: what the run wrote down of its rows and outputs.
    """

    def __init__(self, model: Any, kept: Mapping[str, Any]) -> None:
        self.model, self.rows = model, kept["rows"]
        self.outputs = Outputs.of_json(kept["outputs"])
        self._one_at_a_time = threading.Lock()  # a server answers from several threads, Keras predicts in one

    def predict(self, model_input: Any) -> Any:
        """Answers for rows.

        Args:
            model_input: a frame with the columns that the run's data had, in any order; arrays; texts; images.

        Returns:
            A frame with a row each: class and probabilities by name, labels, or numbers by their targets' names. Where
            a row has outputs at several positions, arrays by name.

        Raises:
            MlflowException: the request is bad, in a sentence; a server answers with 400.
        """
        import pandas as pd

        try:
            x, labels, index = self.features(model_input)
            outputs = self._predicted(x)
        except RequestError as error:
            raise _refusal(str(error)) from None
        arrays = self.outputs.arrays(outputs)
        if arrays is not None:
            return arrays
        return pd.DataFrame({**labels, **self.outputs.columns(outputs)}, index=index)

    def features(self, given: Any) -> tuple[NDArray[np.float32], dict[str, list[str]], Any]:
        """The features of rows, columns that tell the answers apart, and the index of a frame whose rows they are.

        Raises:
            RequestError: the request is bad.
        """
        kind, encoding = self.rows["kind"], self.rows.get("encoding")
        if kind == "text":
            words = encoding["text"]
            texts = texts_in(given, self.rows["column"])
            return tokens(texts, words["vocabulary"], words["length"]), {}, _index(given)
        if kind == "images":
            images = images_of(items_of(given, "image"), self.rows["shape"])
            return images, {}, _index(given)
        if kind == "array" or getattr(given, "ndim", 2) > 2:
            x = arrays_of(given, self.rows["shape"], self.rows.get("names"))
            return x, {}, _index(given)
        plan = encoding.get("series")
        before = () if plan is None else [plan[key] for key in ("time", "group") if plan[key] is not None]
        frame = frame_of(given, list(dict.fromkeys([*before, *(column["name"] for column in used(encoding))])))
        if not len(frame):
            raise RequestError("must have a row at least, got none")
        if plan is not None:
            return (*last_windows(frame, encoding), None)
        return encode(frame, encoding), {}, frame.index

    def _predicted(self, x: NDArray[np.float32]) -> NDArray[Any]:
        if not len(x):
            raise RequestError("must have a row at least, got none")
        with self._one_at_a_time:
            batches = [
                np.asarray(self.model.predict_on_batch(x[start : start + BATCH_ROWS]))
                for start in range(0, len(x), BATCH_ROWS)
            ]
        return np.concatenate(batches)


def _index(given: Any) -> Any:
    """The index of a frame, so that answers can be joined to it."""
    import pandas as pd

    return given.index if isinstance(given, pd.DataFrame) else None


def load(path: str) -> Served:
    """What `model.keras` and `serving.json` in a folder make."""
    kept = json.loads(Path(path, FILE).read_text(encoding="utf-8"))
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        os.environ["KERAS_BACKEND"] = kept["backend"]
    import keras

    own = {name: named(*place) for name, place in kept["objects"].items()}
    with keras.saving.custom_object_scope({**stand_ins(kept["functions"]), **own}):
        model = keras.saving.load_model(Path(path, "model.keras"), compile=False)
    model.jit_compile = kept["jit_compile"]
    _take_what_people_have()
    return Served(model, kept)


def _refusal(sentence: str) -> Exception:
    from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException

    class Refusal(MlflowException):  # type: ignore[misc]
        """MLflow's server would put all that was sent before an error's message; the sentence says what is wrong."""

        message = property(lambda self: sentence, lambda self, text: None)

    return Refusal(sentence, INVALID_PARAMETER_VALUE)


def _take_what_people_have() -> None:
    """Has MLflow hand these models what was sent, unchanged.

    By a signature MLflow refuses whole numbers for `double`, and dates and truths for `string`, so that a frame that
    pandas read from the run's own file is refused. `Served` checks each value itself. Where MLflow has its private
    function no more, its rules hold.
    """
    import mlflow.pyfunc

    checks = getattr(mlflow.pyfunc, "_validate_prediction_input", None)
    if checks is None or hasattr(checks, "__wrapped__"):
        return

    @functools.wraps(checks)
    def checked(data: Any, params: Any, input_schema: Any, params_schema: Any, flavor: Any = None) -> Any:
        ours = isinstance(flavor, str) and flavor.startswith(PACKAGE)
        return checks(data, params, None if ours else input_schema, params_schema, flavor)

    mlflow.pyfunc._validate_prediction_input = checked
