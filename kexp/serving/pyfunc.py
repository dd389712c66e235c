"""The model that MLflow serves: reads the rows of a request, encodes them, predicts, and names the outputs."""

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
from .encoding import encode, used_columns
from .images import images_of
from .names import FILE, PACKAGE
from .outputs import Outputs
from .parts import import_object, stand_ins
from .requests import arrays_of, frame_of, items_of, texts_in
from .series import last_windows
from .texts import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Served", "load"]

BATCH_ROWS = 1024  # the default of `kexp predict`; another size may change the last bit of a prediction


class Served:
    """A run's model over raw rows.

    Args:
        model: the Keras model.
        contract: the content of `serving.json`, which describes rows and outputs.
    """

    def __init__(self, model: Any, contract: Mapping[str, Any]) -> None:
        self.model, self.rows = model, contract["rows"]
        self.outputs = Outputs.of_json(contract["outputs"])
        self._one_at_a_time = threading.Lock()  # a server answers from several threads, Keras predicts in one

    def predict(self, model_input: Any) -> Any:
        """Predicts the rows of a request.

        Args:
            model_input: a frame with the columns of the run's data, in any order; or arrays, texts or images.

        Returns:
            A frame with one line per row: class and probabilities, labels, or numbers with the names of their targets.
            If a row has outputs at several positions, name -> array.

        Raises:
            MlflowException: the request is not valid; a server answers with status 400 and the sentence.
        """
        import pandas as pd

        try:
            x, labels, index = self.features(model_input)
            outputs = self._predict(x)
        except RequestError as error:
            raise _refusal(str(error)) from None
        arrays = self.outputs.arrays(outputs)
        if arrays is not None:
            return arrays
        return pd.DataFrame({**labels, **self.outputs.columns(outputs)}, index=index)

    def features(self, given: Any) -> tuple[NDArray[np.float32], dict[str, list[str]], Any]:
        """Returns the features of a request's rows, columns that identify the outputs, and the index of a frame.

        Raises:
            RequestError: the request is not valid.
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
        frame = frame_of(given, list(dict.fromkeys([*before, *(column["name"] for column in used_columns(encoding))])))
        if not len(frame):
            raise RequestError("must have a row at least, got none")
        if plan is not None:
            return (*last_windows(frame, encoding), None)
        return encode(frame, encoding), {}, frame.index

    def _predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        if not len(x):
            raise RequestError("must have a row at least, got none")
        with self._one_at_a_time:
            batches = [
                np.asarray(self.model.predict_on_batch(x[start : start + BATCH_ROWS]))
                for start in range(0, len(x), BATCH_ROWS)
            ]
        return np.concatenate(batches)


def _index(given: Any) -> Any:
    """Returns the index of a frame, so that the outputs can be joined to it."""
    import pandas as pd

    return given.index if isinstance(given, pd.DataFrame) else None


def load(path: str) -> Served:
    """Loads the model from `model.keras` and `serving.json` in a folder."""
    contract = json.loads(Path(path, FILE).read_text(encoding="utf-8"))
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        os.environ["KERAS_BACKEND"] = contract["backend"]
    import keras

    own = {name: import_object(*place) for name, place in contract["objects"].items()}
    with keras.saving.custom_object_scope({**stand_ins(contract["functions"]), **own}):
        model = keras.saving.load_model(Path(path, "model.keras"), compile=False)
    model.jit_compile = contract["jit_compile"]
    _skip_checks_of_mlflow()
    return Served(model, contract)


def _refusal(sentence: str) -> Exception:
    """Creates an error that MLflow's server answers with status 400 and this sentence."""
    from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException

    class Refusal(MlflowException):  # type: ignore[misc]
        """An error with this message only: MLflow's server would put the whole request before it."""

        message = property(lambda self: sentence, lambda self, text: None)

    return Refusal(sentence, INVALID_PARAMETER_VALUE)


def _skip_checks_of_mlflow() -> None:
    """Makes MLflow pass requests to these models unchanged.

    MLflow's signature refuses integers for `double`, and dates and booleans for `string`, and so a frame that pandas
    read from the run's own file. `Served` checks each value itself. If MLflow no longer has its private function, its
    rules apply.
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
