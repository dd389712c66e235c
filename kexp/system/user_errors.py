"""Describes an error in a user's function in one sentence with the function's name, file and line."""

from __future__ import annotations

import itertools
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

from kexp.errors import first_line
from kexp.system.folders import shown_path

__all__ = ["describe_error", "describe_user_error"]

_KEXP = str(Path(__file__).parents[1])
_STANDARD = sysconfig.get_path("stdlib")
_LIBRARIES = ("keras", "tensorflow", "jax", "jaxlib", "numpy", "torch", "mlflow", "hydra", "omegaconf", "absl")
# Terminal colours, Keras' layer types, TensorFlow's operation names.
_NOISE = re.compile(r"\x1b\[[0-9;]*m| \(type \S+\)| for '= .*' with|\{\{.*?\}\} ?| \[Op:.*|^.*?node_name: ?")
_OLD_BACKEND = re.compile(r"module 'keras\.(?:\w+\.)*backend' has no attribute '(\w+)'")
_ENCOUNTERED = "Error encountered:\n"
# Functions that TensorFlow compiles with AutoGraph are named in the message, not in the traceback.
_IN_USER_CODE = re.compile(r'^\s*File "([^"]+)", line (\d+), in (\S+)', re.MULTILINE)


def describe_error(error: BaseException) -> str:
    """Describes an error as `name (file, line 12) raises ValueError: ...`.

    Args:
        error: as raised, with its traceback.

    Returns:
        The sentence, without name and place if only library code was involved.
    """
    error = _root_error(error)
    place, text = _place(error), first_line(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if text.startswith("in user code"):
        text = lines[-1]
    elif _ENCOUNTERED in str(error):  # the error of a layer's call inside Keras' message
        text = next(line.strip() for line in str(error).partition(_ENCOUNTERED)[2].splitlines() if line.strip())
    elif text.startswith("Exception encountered when calling"):
        text = lines[1] if len(lines) > 1 else text
    elif text.startswith("Graph execution error"):  # the reason is before the names of the nodes
        text = next((a for a, b in itertools.pairwise(lines) if b.startswith("[[{{node")), lines[-1])
    text = _NOISE.sub("", text)
    kind = type(error).__name__
    if kind == "TracerArrayConversionError":  # JAX's own message does not name the cause
        text = "JAX cannot compile NumPy's or TensorFlow's functions; use keras.ops, or backend=tensorflow"
    elif kind == "NotImplementedError" and "numpy" in text.lower():
        text = "TensorFlow cannot compile NumPy's functions; use keras.ops"
    elif "with unknown rank" in text:
        text = (
            f"{text.rstrip('.')}; what tf.numpy_function and tf.py_function return has no shape: give it one by "
            "set_shape, or choose trainer.run_eagerly=true"
        )
    elif found := _OLD_BACKEND.search(text):
        text = f"{text}; in Keras 3 it is {_of_keras_3(found[1])}"
    message = f"{kind}: {text.removeprefix(f'{kind}: ')}"
    return f"{place} raises {message}" if place else message


def _of_keras_3(name: str) -> str:
    """Returns where Keras 3 has a function of Keras 2's backend, such as `keras.ops.sqrt`."""
    import keras

    homes = {"keras.ops": keras.ops, "keras.random": keras.random, "keras.config": keras.config}
    home = next((home for home, module in homes.items() if hasattr(module, name)), None)
    return f"{home}.{name}" if home else "one of keras.ops"


def describe_user_error(error: BaseException) -> str:
    """Describes an error of the user's own code, as `describe_error` does; empty if only installed code is involved."""
    return describe_error(error) if _place(_root_error(error), _is_user_code) else ""


def _root_error(error: BaseException) -> BaseException:
    """Returns the original error of JAX if Keras failed to re-create it with its own message."""
    while "_error_repr" in str(error) and error.__context__ is not None:
        error = error.__context__
    return error


def _place(error: BaseException, is_wanted: Callable[[str], bool] | None = None) -> str:
    """Returns name and place of the innermost function outside kexp and the libraries; empty if there is none."""
    frames = [(each.filename, each.lineno or 0, each.name) for each in traceback.extract_tb(error.__traceback__)]
    first_own = next((place for place, (file, *_) in enumerate(frames) if file.startswith(_KEXP)), 0)
    frames = frames[first_own:]  # kexp's callers are not involved
    frames += [(file, int(line), name) for file, line, name in _IN_USER_CODE.findall(str(error))]
    for file, line, name in reversed(frames):
        if (is_wanted or _is_foreign)(file) and name != "<module>":
            return f"{name} ({shown_path(file)}, line {line})"
    return ""


def _is_foreign(file: str) -> bool:
    """Returns whether a file belongs neither to kexp nor to a library in `_LIBRARIES`."""
    if file.startswith("<") or "__autograph_generated_file" in file or file.startswith((_KEXP, f"{_STANDARD}/")):
        parts = Path(file).parts
        return "site-packages" in parts and parts[parts.index("site-packages") + 1] not in (*_LIBRARIES, "kexp")
    parts = Path(file).parts
    return "site-packages" not in parts or parts[parts.index("site-packages") + 1] not in _LIBRARIES


def _is_user_code(file: str) -> bool:
    return _is_foreign(file) and "site-packages" not in Path(file).parts
