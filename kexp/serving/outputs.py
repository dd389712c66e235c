"""What a model's outputs say: classes by name with their probabilities, labels, numbers by their targets' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Outputs"]

MOST_COLUMNS = 100  # of a table of outputs at several positions of a row


@dataclass(frozen=True)
class Outputs:
    """How a run's outputs are read.

    Attributes:
        classes: class names by index; None where the outputs are no classes.
        outputs: names of the columns of a regression, or of the labels.
        activation: of the output layer, as loss and data asked for it.
        from_logits: the loss made probabilities of the outputs by itself.
        task: what the targets are.
        positions: where in a row outputs stand; () for one row of them.
    """

    classes: tuple[str, ...] | None
    outputs: tuple[str, ...]
    activation: str
    from_logits: bool
    task: str = "classification"
    positions: tuple[int, ...] = ()

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Outputs:
        """What `as_json` gave."""
        classes = None if kept["classes"] is None else tuple(kept["classes"])
        return cls(
            **{**kept, "classes": classes, "outputs": tuple(kept["outputs"]), "positions": tuple(kept["positions"])}
        )

    def as_json(self) -> dict[str, Any]:
        """Itself as plain JSON."""
        return asdict(self)

    @property
    def probable(self) -> bool:
        """Whether the outputs are probabilities, or become so; a hinge's, say, are scores."""
        return self.activation in ("softmax", "sigmoid") or self.from_logits

    def arrays(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]] | None:
        """Arrays by name, where a table does not hold what rows have at their positions; None where it does."""
        import numpy as np

        names = self.array_names(int(np.prod(predicted.shape[1:])))
        if not names or self.classes is None:
            return dict.fromkeys(names, predicted) or None
        index, scores = self.decided(predicted)
        return dict(zip(names, (np.asarray(self.classes)[index], scores), strict=True))

    def array_names(self, width: int) -> tuple[str, ...]:
        """The names of those arrays; none where outputs, `width` in a row, are a table."""
        if self.classes is not None and self.task != "labels":
            return ("class", "probabilities" if self.probable else "scores") if self.positions else ()
        return ("prediction",) if self.positions and width > MOST_COLUMNS else ()

    def names(self, width: int) -> list[str]:
        """The names of the columns.

        Args:
            width: outputs of a row, over all positions.
        """
        if self.classes is not None and self.task != "labels":
            return ["class", *(f"{'p' if self.probable else 'score'}_{name}" for name in self.classes)]
        named = len(self.outputs) == width
        own = self.outputs if named else tuple(str(index) for index in range(width))
        if self.task == "labels":
            return [f"{'p' if self.probable else 'score'}_{name}" for name in own]
        return list(own) if named else ["prediction"] if width == 1 else [f"prediction_{name}" for name in own]

    def columns(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """A table's columns by name.

        Args:
            predicted: the model's outputs, shape (rows, outputs).

        Returns:
            `class` and `p_NAME` for each class (`score_NAME` where the outputs are no probabilities); `p_NAME` for each
            label; for a regression each target by its name.

        Raises:
            ValueError: there are classes at several positions of a row, which no table holds.
        """
        import numpy as np

        if self.classes is not None and self.task != "labels":
            if self.positions:
                raise ValueError(f"each row has a class at each of {self.positions}, which no table holds")
            index, scores = self.decided(predicted)
            columns = [np.asarray(self.classes)[index], *scores.T]
            return dict(zip(self.names(len(self.classes)), columns, strict=True))
        flat = self._probabilities(predicted).reshape(len(predicted), -1) if self.task == "labels" else predicted
        flat = flat.reshape(len(flat), -1)
        return dict(zip(self.names(flat.shape[1]), flat.T, strict=True))

    def decided(self, predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Class indices, shape (rows, *positions), and a probability or score for each class, (..., classes)."""
        import numpy as np

        assert self.classes is not None
        count = len(self.classes)
        if predicted.ndim != 2 + len(self.positions) or predicted.shape[-1] not in ({1, 2} if count == 2 else {count}):
            raise ValueError(f"the model's outputs of shape {predicted.shape[1:]} do not tell {count} classes apart")
        predicted = self._probabilities(predicted)
        if predicted.shape[-1] == 1:
            signed = self.activation == "tanh"
            opposite = -predicted if signed else 1 - predicted
            predicted = np.concatenate([opposite, predicted], axis=-1)
        return predicted.argmax(axis=-1), predicted

    def _probabilities(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """What the loss made of the outputs by itself."""
        import numpy as np

        if not self.from_logits:
            return predicted
        if self.task == "labels":
            sigmoid: NDArray[Any] = np.exp(-np.logaddexp(0, -predicted))  # which does not overflow
            return sigmoid
        raised: NDArray[Any] = np.exp(predicted - predicted.max(axis=-1, keepdims=True))
        probabilities: NDArray[Any] = raised / raised.sum(axis=-1, keepdims=True)
        return probabilities
