"""Loads MLflow models where kexp cannot be imported, and answers; run by itself: FOLDER with requests.pickle."""

from __future__ import annotations

import asyncio
import json
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


def posted(app: Any, body: str, kind: str) -> tuple[int, Any]:
    """Status and answer of MLflow's own server to a request, without a port."""
    told: dict[str, Any] = {"body": b""}

    async def ask() -> None:
        parts = [{"type": "http.request", "body": body.encode(), "more_body": False}]

        async def receive() -> Any:
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.setdefault("status", message.get("status"))
            told["body"] += message.get("body", b"")

        path = "/invocations"
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        await app({**scope, "headers": [(b"content-type", kind.encode())]}, receive, send)

    asyncio.run(ask())
    return told["status"], json.loads(told["body"])


def in_each_form(model: Any, example: Any) -> dict[str, tuple[int, Any]]:
    """What MLflow's server answers to an example in each of its forms, and to one without a column."""
    import pandas as pd
    from mlflow.pyfunc.scoring_server import init

    app = init(model)
    if "inputs" in example:
        bodies = {"inputs": example, "instances": {"instances": example["inputs"]}}
        return {form: posted(app, json.dumps(body), "application/json") for form, body in bodies.items()}
    frame = pd.DataFrame(example["dataframe_split"]["data"], columns=example["dataframe_split"]["columns"])
    records = [dict(zip(frame, row, strict=True)) for row in example["dataframe_split"]["data"]]
    columns = {name: [row[name] for row in records] for name in frame}
    needed = [column["name"] for column in model.metadata.signature.inputs.to_dict() if column["required"]][-1]
    without = [{name: value for name, value in row.items() if name != needed} for row in records]
    bodies = {
        "split": example,
        "records": {"dataframe_records": [dict(reversed(row.items())) for row in records]},
        "inputs": {"inputs": columns},
        "instances": {"instances": records},
        "without": {"dataframe_records": without},
    }
    found = {form: posted(app, json.dumps(body), "application/json") for form, body in bodies.items()}
    return {**found, "csv": posted(app, frame[frame.columns[::-1]].to_csv(index=False), "text/csv")}


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
                "posted": in_each_form(loaded, json.loads(Path(model, "serving_input_example.json").read_text())),
            }
        )
    (folder / "answers.pickle").write_bytes(pickle.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
