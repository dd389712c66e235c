"""The signature of a component, read from a live callable or, without an import, from source.

A signature is a component's config: each parameter is a config key, with its default and its annotation as the rule.
Keras annotates nothing and takes seconds to import, so the signatures of its exports are read from its source files.
"""

from __future__ import annotations

from kexp.signatures.live import of_callable, written
from kexp.signatures.parameter import REQUIRED, UNREADABLE, Parameter, Signature, argument_helps, to_snake_case
from kexp.signatures.source import exported, of_source, source_file, statements, summary_of_source

__all__ = [
    "REQUIRED",
    "UNREADABLE",
    "Parameter",
    "Signature",
    "argument_helps",
    "exported",
    "of_callable",
    "of_source",
    "source_file",
    "statements",
    "summary_of_source",
    "to_snake_case",
    "written",
]
