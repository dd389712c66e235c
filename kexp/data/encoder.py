"""The seam between data and what has to be learned from its training rows before its features are numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kexp.data.source import DataSpec, Source

__all__ = ["Encoded", "Encoder"]


@dataclass(frozen=True)
class Encoded:
    """A fitted encoder's work: the source that reads encoded features, its final spec, the encoding as plain JSON."""

    source: Source
    spec: DataSpec
    encoding: dict[str, Any]


class Encoder(Protocol):
    """Learns category vocabularies, medians and the like, from training rows only."""

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        """What these training rows teach, and the source that applies it."""
        ...
