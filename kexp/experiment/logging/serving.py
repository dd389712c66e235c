"""The serving files of an MLflow model: how it encodes raw rows and names outputs, its signature and an example."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from kexp import traits
from kexp.experiment.prepared import Prepared
from kexp.registry.own_code import is_kept, sources_of
from kexp.schema import Experiment
from kexp.serving.outputs import Outputs
from kexp.tracking import ServingFiles

if TYPE_CHECKING:
    import keras

__all__ = ["formats_for_serving", "outputs_of", "rows_of", "serving_files"]

EXAMPLE_ROWS = 3
MOST_NUMBERS = 10_000  # numbers in an example of arrays
# Top-level modules whose classes a model loads without files of its own.
_NOT_CARRIED = ("keras", "kexp", "tensorflow", "jax", "torch", "numpy", "builtins", "__main__")

Column = dict[str, Any]


def outputs_of(
    experiment: Experiment,
    task: str,
    classes: Sequence[str] | None,
    target_names: Sequence[str] | None,
    positions: Sequence[int],
) -> Outputs:
    """Returns how to interpret the outputs of an experiment's model.

    Args:
        experiment: the experiment, whose loss is chosen.
        task: the task of its data, such as `classification`.
        classes: class names by index; None if the targets are not classes.
        target_names: one name for each output of a regression or of labels.
        positions: the shape of the positions in a row that have targets; empty for one target a row.
    """
    assert experiment.loss is not None
    loss, parameters = experiment.loss, experiment.loss.parameters
    count = len(classes) if classes is not None else 1
    _, activation = traits.output_for(traits.of_node(loss), parameters, task=task, outputs=count)
    logits = bool(parameters.get("from_logits"))
    names = None if classes is None else tuple(classes)
    return Outputs(names, tuple(target_names or ()), activation, logits, task, tuple(positions))


def rows_of(
    data: str, encoding: Mapping[str, Any], feature_shape: Sequence[int], feature_names: Sequence[str] | None
) -> dict[str, Any]:
    """Describes the rows of a run's data before they are encoded.

    Args:
        data: the name of the data component.
        encoding: the encoding learned from the training rows; empty if the features were numbers.
        feature_shape: the shape of an encoded row.
        feature_names: one name for each feature; None if they have no names.
    """
    shape = list(feature_shape)
    if "text" in encoding:
        return {"kind": "text", "column": encoding["text"]["column"] or "text", "encoding": {"text": encoding["text"]}}
    if "columns" in encoding:
        kept = {key: encoding[key] for key in ("columns", "kinds", "series") if key in encoding}
        kept["columns"] = [column for column in kept["columns"] if "left_out" not in column]
        reading = encoding.get("reading") or {}
        kept["reading"] = {key: reading[key] for key in ("na_values", "missing") if reading.get(key)}
        return {"kind": "series" if "series" in encoding else "table", "shape": shape, "encoding": kept}
    if data == "image_folder":
        return {"kind": "images", "shape": shape}
    return {"kind": "array", "shape": shape, "names": None if feature_names is None else list(feature_names)}


def formats_for_serving(
    formats: Mapping[str, Any], rows: Mapping[str, Any], outputs: Outputs
) -> tuple[dict[str, Any], list[str]]:
    """Configures the formats that can store a model of raw rows.

    Args:
        formats: name -> format.
        rows: the description of raw rows, as `rows_of` returns it.
        outputs: how to interpret the model's outputs.

    Returns:
        The formats, and their notices for the user.
    """
    contract = {"rows": rows, "outputs": outputs.as_json()}
    made = {name: each.serving(contract) if hasattr(each, "serving") else each for name, each in formats.items()}
    return made, [each.notice for each in made.values() if getattr(each, "notice", "")]


def serving_files(prepared: Prepared, model: keras.Model, width: int) -> ServingFiles:
    """Returns the serving files of a trained model.

    Args:
        prepared: the experiment, whose data defines the rows that the model takes.
        model: the trained model.
        width: the number of outputs of a row.
    """
    import keras

    spec, encoding = prepared.splits.spec, prepared.splits.encoding
    outputs = outputs_of(prepared.experiment, spec.task, spec.classes, spec.target_names, spec.positions)
    rows, inputs, example = _rows(prepared)
    objects, functions = _objects(model)
    modules = [module for module, *_ in (*objects.values(), *functions.values())]
    contract = {
        "version": 1,
        "backend": keras.backend.backend(),
        "jit_compile": bool(model.jit_compile),
        "rows": rows,
        "outputs": outputs.as_json(),
        "objects": objects,
        "functions": functions,
    }
    return ServingFiles(
        contract,
        inputs,
        _output_columns(outputs, width, encoding),
        example,
        {name: file for module in modules if is_kept(module) for name, file in sources_of(module).items()},
        [*(["pillow"] if rows["kind"] == "images" else []), *_packages(modules)],
    )


def _rows(prepared: Prepared) -> tuple[dict[str, Any], list[Column], Any]:
    """Returns the description of rows, the inputs of the signature, and an example."""
    spec, encoding = prepared.splits.spec, prepared.splits.encoding
    rows = rows_of(prepared.experiment.data.name, encoding, spec.feature_shape, spec.feature_names)
    if rows["kind"] == "text":
        known = " ".join(encoding["text"]["vocabulary"][:8])
        return rows, [_column(rows["column"], "string")], {"columns": [rows["column"]], "data": [[known]]}
    if rows["kind"] in ("table", "series"):
        inputs = _input_columns(encoding, prepared)
        return rows, inputs, _table_rows(prepared, [column["name"] for column in inputs])
    if rows["kind"] == "images":
        example = {"columns": ["image"], "data": [[_png(prepared)]]}
        return rows, [{"type": "any", "name": "image", "required": True}], example
    count = max(1, min(EXAMPLE_ROWS, MOST_NUMBERS // max(1, math.prod(spec.feature_shape))))
    some, names = _first_rows(prepared, count).tolist(), rows["names"]
    if names:
        return rows, [_column(name, "double") for name in names], {"columns": names, "data": some}
    return rows, [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, *spec.feature_shape]}}], some


def _column(name: str, kind: str, needed: bool = True) -> Column:
    return {"type": kind, "name": name, "required": needed}


def _input_columns(encoding: Mapping[str, Any], prepared: Prepared) -> list[Column]:
    """Returns the input columns: numbers as `double`, all else as `string`, which JSON and CSV transfer losslessly."""
    from kexp.serving.encoding import is_required, used_columns

    plan, table = encoding.get("series"), _table(prepared)
    inputs = []
    for name in () if plan is None else (plan["time"], plan["group"]):
        if name is not None:
            plain = table.columns[name].kind == "number" and not table.columns[name].format
            inputs.append(_column(name, "double" if plain else "string"))
    names = {column["name"] for column in inputs}
    for column in used_columns(encoding):
        kind, form = encoding["kinds"][column["name"]]
        plain = kind == "number" and not form
        if column["name"] not in names:
            inputs.append(_column(column["name"], "double" if plain else "string", is_required(column)))
    return inputs


def _output_columns(outputs: Outputs, width: int, encoding: Mapping[str, Any]) -> list[Column]:
    """Returns the output columns of the signature."""
    arrays = outputs.array_names(width)
    if arrays:
        return [{"type": "any", "name": name, "required": True} for name in arrays]
    plan = encoding.get("series")
    labels = [] if plan is None else [plan["group"], f"{plan['time']} of the last step"]
    columns = [_column(name, "string") for name in labels if name is not None]
    return [*columns, *(_column(name, "string" if name == "class" else "float") for name in outputs.names(width))]


def _table(prepared: Prepared) -> Any:
    return prepared.splits.train.data.source.table  # type: ignore[attr-defined]


def _table_rows(prepared: Prepared, names: Sequence[str]) -> dict[str, Any]:
    """Returns some training rows in the form of a request; for series, the rows of one window."""
    import numpy as np

    train = prepared.splits.train
    source: Any = train.data.source
    if hasattr(source, "starts"):
        start = source.starts[train.rows[0]]
        rows = source.rows[start : start + source.size]
    else:
        rows = source.rows[train.rows[: min(EXAMPLE_ROWS, len(train))]]
    columns = [source.table.columns[name] for name in names]
    return {
        "columns": list(names),
        "data": [[column.sent(int(row)) for column in columns] for row in np.asarray(rows)],
    }


def _first_rows(prepared: Prepared, count: int) -> Any:
    import numpy as np

    train = prepared.splits.train
    return train.batch(np.arange(min(count, len(train)), dtype=np.intp))[0]


def _png(prepared: Prepared) -> str:
    """Returns the first training image as a PNG file in base64."""
    import base64
    import io

    import numpy as np
    from PIL import Image

    pixels = np.round(_first_rows(prepared, 1)[0] * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _objects(model: keras.Model) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Finds the objects outside Keras and kexp that a file of the model refers to.

    Returns:
        Registered name -> (module, qualified name) of classes and functions, and the same for functions of activations.
    """
    import keras

    from kexp.components.activations import parametric_activation

    parts = (keras.initializers.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint)
    found, functions = {}, {}
    for layer in model._flatten_layers():
        inside = [each for each in vars(layer).values() if isinstance(each, (*parts, types.FunctionType))]
        for each in (layer, *inside):
            kind = each if isinstance(each, types.FunctionType) else type(each)
            if kind.__module__.partition(".")[0] not in _NOT_CARRIED and "<" not in kind.__qualname__:
                found[keras.saving.get_registered_name(kind)] = [kind.__module__, kind.__qualname__]
        if type(layer) is parametric_activation() and layer._applied.__module__.partition(".")[0] != "keras":
            applied = layer._applied
            module, _, name = layer.function.partition(":")
            # The applied function may have no importable name, as a lambda has none.
            place = [module, name] if name else [applied.__module__, applied.__qualname__]
            functions[layer.function] = [*place, *(["made"] if hasattr(applied, "factory") else [])]
    return found, functions


def _packages(modules: Sequence[str]) -> list[str]:
    """Returns the pinned requirements of the installed packages that the modules belong to."""
    tops = {module.partition(".")[0] for module in modules if not is_kept(module)}
    if not tops:
        return []
    homes = packages_distributions()
    names = sorted({homes[top][0] for top in tops if top in homes})
    return [f"{name}=={version(name)}" for name in names]
