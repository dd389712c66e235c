"""The losses and metrics that a model's own code compiles it with, for those that nothing else can name.

`mine:build().loss` is the loss, and `mine:build().metrics.1` the second metric, that `build` compiles its model with.
It has the parameters of `build`, and is created again by building the model again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kexp.signatures import of_callable

__all__ = ["CALLED", "CompiledPart", "compiled_parts", "refers_to_layers"]

CALLED = "()."  # in a reference, between the model's factory and the part
_DEPTH = 6


class CompiledPart:
    """A factory of a loss or a metric.

    Args:
        build: the factory of the compiled model.
        place: `loss`, or `metrics.1` for the second metric.
    """

    def __init__(self, build: Callable[..., Any], place: str) -> None:
        self._build, self._place = build, place
        self.__module__ = getattr(build, "__module__", "")
        self.kexp_signature = of_callable(build)

    def __call__(self, **given: Any) -> Any:
        kind, _, number = self._place.partition(".")
        return compiled_parts(self._build(**given), kind)[int(number or 0)]


def compiled_parts(model: Any, kind: str) -> list[Any]:
    """Returns what a model is compiled with.

    Args:
        model: a compiled model.
        kind: an argument of `compile`, such as `metrics`; lists and mappings in it are flattened.
    """
    return list(_flat(model._compile_config.config.get(kind)))


def refers_to_layers(part: Any, depth: int = _DEPTH) -> bool:
    """Returns whether a function refers to layers or tensors, such as those of the model that it was created with."""
    import keras

    if isinstance(part, (keras.Layer, keras.KerasTensor)):
        return True
    inside = [cell.cell_contents for cell in getattr(part, "__closure__", None) or ()]
    if isinstance(part, functools.partial):
        inside += [part.func, *part.args, *part.keywords.values()]
    return depth > 0 and any(refers_to_layers(each, depth - 1) for each in inside)


def _flat(given: Any) -> Iterator[Any]:
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        for each in given:
            yield from _flat(each)
    elif given is not None:
        yield given
