"""Names a model's outputs: classes with their probabilities, labels, or numbers with the names of their targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Outputs"]

MOST_COLUMNS = 100  # of a table with outputs at several positions of a row


@dataclass(frozen=True)
class Outputs:
    """A description of a model's outputs.

    Attributes:
        classes: class names by index; None if the outputs are not classes.
        outputs: names of the targets of a regression, or of the labels.
        activation: the activation of the output layer.
        from_logits: whether the outputs are logits, which the loss turns into probabilities.
        task: classification, regression or labels.
        positions: the positions in a row that have outputs; () for one output a row.
    """

    classes: tuple[str, ...] | None
    outputs: tuple[str, ...]
    activation: str
    from_logits: bool
    task: str = "classification"
    positions: tuple[int, ...] = ()

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Outputs:
        """Returns the description that `as_json` returned."""
        classes = None if content["classes"] is None else tuple(content["classes"])
        return cls(
            **{
                **content,
                "classes": classes,
                "outputs": tuple(content["outputs"]),
                "positions": tuple(content["positions"]),
            }
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the description as plain JSON."""
        return asdict(self)

    @property
    def probable(self) -> bool:
        """Whether the outputs are or become probabilities; those of a hinge loss, for example, are scores."""
        return self.activation in ("softmax", "sigmoid") or self.from_logits

    def arrays(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]] | None:
        """Returns name -> array if a table cannot hold the outputs at the positions of a row, else None."""
        import numpy as np

        names = self.array_names(int(np.prod(predicted.shape[1:])))
        if not names or self.classes is None:
            return dict.fromkeys(names, predicted) or None
        index, scores = self.decided(predicted)
        return dict(zip(names, (np.asarray(self.classes)[index], scores), strict=True))

    def array_names(self, width: int) -> tuple[str, ...]:
        """Returns the names of these arrays; none if the outputs, `width` in a row, fit into a table."""
        if self.classes is not None and self.task != "labels":
            return ("class", "probabilities" if self.probable else "scores") if self.positions else ()
        return ("prediction",) if self.positions and width > MOST_COLUMNS else ()

    def names(self, width: int) -> list[str]:
        """Returns the names of a table's columns.

        Args:
            width: the number of outputs in a row, at all positions.
        """
        if self.classes is not None and self.task != "labels":
            return ["class", *(f"{'p' if self.probable else 'score'}_{name}" for name in self.classes)]
        named = len(self.outputs) == width
        own = self.outputs if named else tuple(str(index) for index in range(width))
        if self.task == "labels":
            return [f"{'p' if self.probable else 'score'}_{name}" for name in own]
        return list(own) if named else ["prediction"] if width == 1 else [f"prediction_{name}" for name in own]

    def columns(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Returns name -> column of a table.

        Args:
            predicted: the model's outputs, shape (rows, outputs).

        Returns:
            For classes, `class` and for each class `p_NAME`, or `score_NAME` if the outputs are not probabilities. For
            labels, `p_NAME` each. For a regression, the name of each target.

        Raises:
            ValueError: a row has classes at several positions, which a table cannot hold.
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
        """Returns class indices, shape (rows, *positions), and probabilities or scores, shape (..., classes).

        Raises:
            ValueError: the outputs have another shape than this number of classes requires.
        """
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
        """Returns the probabilities of logits; other outputs as they are."""
        import numpy as np

        if not self.from_logits:
            return predicted
        if self.task == "labels":
            sigmoid: NDArray[Any] = np.exp(-np.logaddexp(0, -predicted))  # does not overflow
            return sigmoid
        raised: NDArray[Any] = np.exp(predicted - predicted.max(axis=-1, keepdims=True))
        probabilities: NDArray[Any] = raised / raised.sum(axis=-1, keepdims=True)
        return probabilities
