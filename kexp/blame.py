"""What went wrong in somebody's function, as one sentence with its name, file and line."""

from __future__ import annotations

import itertools
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path

from kexp.errors import first_line

__all__ = ["own_sentence", "sentence_of"]

_OURS = str(Path(__file__).parent)
_STANDARD = sysconfig.get_path("stdlib")
_LIBRARIES = ("keras", "tensorflow", "jax", "jaxlib", "numpy", "torch", "mlflow", "hydra", "omegaconf", "absl")
# The terminal's colours, Keras' type of a layer, TensorFlow's names of operations.
_NOISE = re.compile(r"\x1b\[[0-9;]*m| \(type \S+\)| for '= .*' with|\{\{.*?\}\} ?| \[Op:.*|^.*?node_name: ?")
_ENCOUNTERED = "Error encountered:\n"
# A function that TensorFlow compiles by AutoGraph is named in the message instead of the traceback.
_IN_USER_CODE = re.compile(r'^\s*File "([^"]+)", line (\d+), in (\S+)', re.MULTILINE)


def sentence_of(error: BaseException) -> str:
    """`name (file, line 12) raises ValueError: ...`; without the place where no code but the libraries' took part."""
    error = _first(error)
    place, text = _place(error), first_line(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if text.startswith("in user code"):
        text = lines[-1]
    elif _ENCOUNTERED in str(error):  # what a layer's call raised, in Keras' words around it
        text = next(line.strip() for line in str(error).partition(_ENCOUNTERED)[2].splitlines() if line.strip())
    elif text.startswith("Exception encountered when calling"):
        text = lines[1] if len(lines) > 1 else text
    elif text.startswith("Graph execution error"):  # the reason stands before the nodes' names
        text = next((a for a, b in itertools.pairwise(lines) if b.startswith("[[{{node")), lines[-1])
    text = _NOISE.sub("", text)
    kind = type(error).__name__
    if kind == "TracerArrayConversionError":  # JAX's own sentence goes on about itself
        text = "JAX cannot compile NumPy's or TensorFlow's functions; use keras.ops, or backend=tensorflow"
    elif kind == "NotImplementedError" and "numpy" in text.lower():
        text = "TensorFlow cannot compile NumPy's functions; use keras.ops"
    said = f"{kind}: {text.removeprefix(f'{kind}: ')}"
    return f"{place} raises {said}" if place else said


def own_sentence(error: BaseException) -> str:
    """As `sentence_of`, of an error in a function of one's own; empty where none took part but an installed one."""
    return sentence_of(error) if _place(_first(error), _is_mine) else ""


def _first(error: BaseException) -> BaseException:
    """The error of JAX's that Keras failed to make anew with words of its own."""
    while "_error_repr" in str(error) and error.__context__ is not None:
        error = error.__context__
    return error


def _place(error: BaseException, counts: Callable[[str], bool] | None = None) -> str:
    """The innermost function that is neither a library's nor ours, or of a file that counts."""
    frames = [(each.filename, each.lineno or 0, each.name) for each in traceback.extract_tb(error.__traceback__)]
    ours = next((place for place, (file, *_) in enumerate(frames) if file.startswith(_OURS)), 0)
    frames = frames[ours:]  # what called us took no part
    frames += [(file, int(line), name) for file, line, name in _IN_USER_CODE.findall(str(error))]
    for file, line, name in reversed(frames):
        if (counts or _is_own)(file) and name != "<module>":
            return f"{name} ({_shown(file)}, line {line})"
    return ""


def _is_own(file: str) -> bool:
    if file.startswith("<") or "__autograph_generated_file" in file or file.startswith((_OURS, f"{_STANDARD}/")):
        parts = Path(file).parts
        return "site-packages" in parts and parts[parts.index("site-packages") + 1] not in (*_LIBRARIES, "kexp")
    parts = Path(file).parts
    return "site-packages" not in parts or parts[parts.index("site-packages") + 1] not in _LIBRARIES


def _is_mine(file: str) -> bool:
    return _is_own(file) and "site-packages" not in Path(file).parts


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
