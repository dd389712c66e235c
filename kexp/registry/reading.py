"""How the object of a name or a reference becomes a part of the model. One rule for every group:

    a class                                is called, and returns the part
    an object of a Keras class             exists already: each run has a copy
    a function of just Keras' arguments,   is the part itself; its other parameters are those of the config
    whatever their names
    any other function                     is called, and returns the part; so is a function of just these arguments
                                           that returns a function it defines, or an object of a Keras class

Keras calls a loss and a metric with two arguments, an activation, a regularizer and a constraint with one, an
initializer with a shape and a dtype, a schedule with a step. A function takes "just these" where as many of its
parameters have no default. Whatever can be called counts as a function.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args, get_origin

from kexp import signatures
from kexp.errors import ComponentError
from kexp.registry.groups import Group
from kexp.registry.returned import OWN, returned_by
from kexp.signatures import REQUIRED, Parameter, Signature

__all__ = ["Reading", "group_of", "is_there_already", "read_object", "read_signature"]

_DTYPE = "dtype"  # Keras passes it to an initializer by name
# Keras' class of each group's members.
_BASES = {
    "Optimizer": "optimizer",
    "LearningRateSchedule": "schedule",
    "Loss": "loss",
    "Metric": "metrics",
    "Model": "model",
    "Layer": "layer",
    "Callback": "callbacks",
    "Initializer": "initializer",
    "Regularizer": "regularizer",
    "Constraint": "constraint",
}


@dataclass(frozen=True)
class Reading:
    """How a component's object becomes a part.

    Attributes:
        kind: "made": a call returns the part. "itself": it is the part. "copied": it is an existing part, of which
            each run has a copy.
        signature: the parameters that the config sets; `signature.taken` are those that Keras fills in.
    """

    kind: Literal["made", "itself", "copied"]
    signature: Signature


def read_object(group: Group, made: Any, label: str) -> Reading:
    """Reads a live object.

    Args:
        group: the group that it is chosen in.
        made: a class, a function, or an object of a Keras class.
        label: what to call it in messages.

    Raises:
        ComponentError: it has no readable signature, or can be read in two ways.
    """
    if is_there_already(made):
        from kexp.registry.instances import settings_of_instance

        return Reading("copied", settings_of_instance(made))
    try:
        signature = signatures.of_callable(made)
    except (TypeError, ValueError) as error:
        if group.called_with and not inspect.isclass(made):  # a function in C, say
            return Reading("itself", Signature((), taken=group.called_with))
        raise ComponentError(f"{label} has no readable signature") from error
    if inspect.isclass(made) or hasattr(made, "kexp_signature") or _makes_parts(made):
        return Reading("made", _config(group, signature))
    return read_signature(group, signature, label)


def read_signature(group: Group, signature: Signature, label: str) -> Reading:
    """Reads a function by its signature; arguments as of `read_object`.

    Raises:
        ComponentError: it can be read in two ways.
    """
    wanted = group.called_with
    if not wanted:
        return Reading("made", _config(group, signature))
    bare = [p for p in signature.parameters if not p.keyword_only and p.default is REQUIRED]
    named = tuple(p.name for p in signature.parameters[: len(wanted)]) == wanted
    taken = tuple(p.name for p in bare[: len(wanted)])
    if named:
        taken = wanted
    elif signature.any_positional and len(bare) <= len(wanted):
        pass
    elif not group.least_called_with <= len(bare) or any(map(_is_setting, bare[: len(wanted)])):
        return Reading("made", _config(group, signature))
    elif len(bare) > len(wanted):
        raise ComponentError(
            f"{label} can be read in two ways: as {group.one} itself, which Keras calls with "
            f"{_listed(wanted)}, and as a function that makes one; give {bare[len(wanted)].name} a default for the "
            f"first, and all of {_listed(p.name for p in bare)} for the second"
        )
    takes_dtype = _DTYPE in wanted[len(taken) :] and (_DTYPE in signature or signature.open)
    by_name = (_DTYPE,) if takes_dtype else ()
    return Reading("itself", _config(group, signature, *taken, *by_name))


def group_of(made: Any) -> str | None:
    """Returns the group that an object belongs to: by its Keras class or the class that it returns, or `loss` if it has
    two arguments; None if that is unclear."""
    if (owner := _group_of_class(made if isinstance(made, type) else type(made))) is not None:
        return owner
    if isinstance(made, type) or not callable(made):
        return None
    try:
        bare = [p for p in signatures.of_callable(made).parameters if not p.keyword_only and p.default is REQUIRED]
    except (TypeError, ValueError):
        return None
    if _makes_parts(made):
        owners = {_group_of_class(kind) for kind in returned_by(made) if kind is not None and kind is not OWN}
        return owners.pop() if len(owners) == 1 else None
    return "loss" if len(bare) == 2 and not any(map(_is_setting, bare)) else None


def _group_of_class(kind: type) -> str | None:
    bases = (base.__name__ for base in kind.__mro__ if _is_keras(base))
    return next((_BASES[name] for name in bases if name in _BASES), None)


def _makes_parts(made: Any) -> bool:
    """Returns whether a function returns only components, according to its source."""
    kinds = returned_by(made)
    return bool(kinds) and all(kind is OWN or (kind and _group_of_class(kind)) for kind in kinds)


def is_there_already(made: Any) -> bool:
    """Returns whether an object is of a Keras class. Imports nothing: such an object has imported Keras."""
    if isinstance(made, type):
        return False
    return any(_is_keras(kind) for kind in type(made).__mro__)


def _is_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "tf_keras")


def _config(group: Group, signature: Signature, *taken: str) -> Signature:
    """Returns the parameters that the config sets: all but those that kexp and Keras fill in."""
    left = signature.without("self", "name", *group.given, *taken)
    return replace(left, taken=taken)


def _is_setting(parameter: Parameter) -> bool:
    """Returns whether a parameter is annotated as a plain value, which Keras' own arguments never are."""
    kind = parameter.annotation
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind in (bool, int, float, str) or get_origin(kind) is Literal


def _listed(names: Any) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else str(last)
