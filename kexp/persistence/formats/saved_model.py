"""The format `saved_model`: the predictions of a model as a TensorFlow SavedModel, for serving."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.persistence.format import Format, Predictor

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["saved_model"]

_RAW, _ENCODED = "serving_default", "encoded"


def saved_model() -> Format:
    """The predictions alone as a TensorFlow SavedModel for serving (saved_model/), of raw columns by name."""
    return _SavedModel()


class _SavedModel:
    filename = "saved_model"
    carries = "function"
    requires_backend = frozenset({"tensorflow", "jax"})

    def __init__(self, contract: Mapping[str, Any] | None = None) -> None:
        self._contract = contract

    def serving(self, contract: Mapping[str, Any]) -> Format:
        """See `Format`."""
        return _SavedModel(contract)

    @property
    def notice(self) -> str:
        """See `Format`."""
        from kexp.persistence.formats.raw_rows.columns import why_encoded

        why = why_encoded(self._contract["rows"]) if self._contract else ""
        return f"saved_model takes {why}" if why else ""

    def save(self, model: keras.Model, path: Path) -> None:
        if self._contract is None or self.notice:
            model.export(path, format="tf_saved_model", verbose=False)
            return
        with tempfile.TemporaryDirectory(prefix="kexp-export-") as folder:
            model.export(folder, format="tf_saved_model", verbose=False)
            batch = model.inputs[0].shape[0] if getattr(model, "inputs", None) else None
            _write_raw(_tensorflow().saved_model.load(folder), self._contract, batch, path)

    def load(self, path: Path, *, architecture: Callable[[], keras.Model]) -> Predictor:
        tf = _tensorflow()
        # The loaded object owns the variables that `serve` uses, so a reference to it must be kept.
        return _Served(tf.saved_model.load(str(path)))

    def difference(self, loaded: Any) -> str | None:
        """See `Format`."""
        if self._contract is None or self.notice:
            return None
        from kexp.persistence.formats.raw_rows.sample_rows import raw_difference

        return raw_difference(loaded, self._contract)


class _Served:
    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.floating[Any]]:
        import numpy as np

        return np.asarray(self._loaded.serve(inputs))

    @property
    def batch(self) -> int | None:
        """The number of rows of a call; None for any number."""
        size: int | None = self._loaded.signatures[_RAW].inputs[0].shape[0]
        return size

    def answers(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Predicts raw columns by name; returns the outputs by name."""
        import numpy as np
        import tensorflow as tf

        given = {name: tf.constant(values) for name, values in columns.items()}
        return {name: np.asarray(found) for name, found in self._loaded.signatures[_RAW](**given).items()}


def _tensorflow() -> Any:
    """Imports TensorFlow without its warnings about gradients, which a served function does not need.

    The import resets the level of TensorFlow's logger; the caller restores it.
    """
    import tensorflow as tf

    logging.getLogger("absl").setLevel(logging.ERROR)
    return tf


def _write_raw(exported: Any, contract: Mapping[str, Any], batch: int | None, path: Path) -> None:
    """Writes a SavedModel of Keras' with an additional signature that takes raw columns."""
    import tensorflow as tf

    from kexp.persistence.formats.raw_rows.tensorflow_rows import RawRows, named_answers
    from kexp.serving.outputs import Outputs

    rows, outputs = RawRows(contract["rows"], batch), Outputs.of_json(contract["outputs"])
    specs = rows.inputs()
    safe = _safe_names(specs)
    columns = {safe[name]: tf.TensorSpec(spec.shape, spec.dtype, safe[name]) for name, spec in specs.items()}

    def answers(**given: Any) -> dict[str, Any]:
        features = rows.features({name: given[safe[name]] for name in specs})
        return named_answers(outputs, exported.serve(features))

    both = tf.Module()
    both.exported, both.serve, both.tables = exported, exported.serve, rows.tables
    encoded = exported.signatures[_RAW]
    raw = tf.function(answers, autograph=False).get_concrete_function(**columns)
    # A function that JAX exported has no gradients.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(both, str(path), {_RAW: raw, _ENCODED: encoded}, options)
    _rename(path, {other: name for name, other in safe.items() if other != name})


def _safe_names(names: Mapping[str, Any]) -> dict[str, str]:
    """Returns column name -> a valid name of a Python parameter, which TensorFlow requires."""
    import keyword

    safe: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = plain if plain.isidentifier() and not keyword.iskeyword(plain) else f"column_{plain}"
        while plain in safe.values() or (plain != name and plain in names):
            plain += "_"
        safe[name] = plain
    return safe


def _rename(path: Path, names: Mapping[str, str]) -> None:
    """Renames the inputs of the first signature to names that a Python parameter cannot have.

    TensorFlow only writes names of parameters, but reads any: servers use the names in the signature, and Python's
    loader uses the list of keywords.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    if not names:
        return
    file = path / "saved_model.pb"
    saved = SavedModel()
    saved.ParseFromString(file.read_bytes())
    (graph,) = saved.meta_graphs
    inputs = graph.signature_def[_RAW].inputs
    known = set(inputs)
    for plain, name in names.items():
        inputs[name].CopyFrom(inputs[plain])
        del inputs[plain]
    for node in graph.object_graph_def.nodes:
        keywords = node.bare_concrete_function.argument_keywords
        if node.HasField("bare_concrete_function") and set(keywords) == known:
            renamed = [names.get(each, each) for each in keywords]
            del keywords[:]
            keywords.extend(renamed)
    file.write_bytes(saved.SerializeToString())
