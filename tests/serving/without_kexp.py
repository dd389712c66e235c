"""Loads MLflow models where kexp cannot be imported, and answers; run by itself: FOLDER with requests.pickle."""

from __future__ import annotations

import pickle
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


class NoKexp:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "kexp":
            raise ModuleNotFoundError(f"No module named {name!r}: kexp is not installed here")
        return None


def main(folder: Path) -> None:
    sys.meta_path.insert(0, NoKexp())
    import mlflow.keras
    import mlflow.pyfunc
    import numpy as np
    from mlflow.exceptions import MlflowException

    answers = []
    for model, requests in pickle.loads((folder / "requests.pickle").read_bytes()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = mlflow.pyfunc.load_model(model)
        found: list[Any] = []
        for request in requests:
            try:
                found.append(loaded.predict(request))
            except MlflowException as error:
                found.append((error.error_code, error.message))
        example = loaded.predict(loaded.input_example)
        with warnings.catch_warnings(record=True) as of_keras:
            warnings.simplefilter("always")
            try:
                keras_model = mlflow.keras.load_model(model)
                compiled = [type(keras_model.optimizer).__name__, bool(keras_model.compiled)]
            except Exception as error:  # told, and looked at by the test
                compiled = [repr(error)]
        signature = loaded.metadata.signature
        answers.append(
            {
                "answers": found,
                "example": example if isinstance(example, dict) else np.asarray(example),
                "compiled": compiled,
                "warned": [str(each.message) for each in (*caught, *of_keras)],
                "inputs": signature.inputs.to_dict(),
                "outputs": signature.outputs.to_dict(),
            }
        )
    (folder / "answers.pickle").write_bytes(pickle.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
