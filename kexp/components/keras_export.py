"""A Keras class as a component with other defaults: its signature is read from source, Keras is imported at a call."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import cached_property
from typing import Any

from kexp import signatures
from kexp.signatures import Signature

__all__ = ["KerasExport"]


class KerasExport:
    """`KerasExport("keras.optimizers:Adagrad", learning_rate=0.01)`: Keras' Adagrad with the catalogue's default.

    Args:
        target: `module:Class` of the public Keras API.
        defaults: parameter values that differ from Keras'.
    """

    def __init__(self, target: str, **defaults: Any) -> None:
        self.target = target
        self.defaults = defaults

    @cached_property
    def kexp_signature(self) -> Signature:
        """Keras' own parameters and documentation, with kexp's defaults. Imports nothing."""
        read = signatures.of_source(self.target)
        parameters = tuple(replace(p, default=self.defaults.get(p.name, p.default)) for p in read.parameters)
        return replace(read, parameters=parameters)

    def __call__(self, **parameters: Any) -> Any:
        """Returns a new instance of the class. Imports Keras."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)(**{**self.defaults, **parameters})
