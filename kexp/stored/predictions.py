"""What a model's outputs say: classes by name with their probabilities, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp import traits
from kexp.errors import LoadError
from kexp.schema import Experiment
from kexp.stored.description import Description

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """How a run's outputs are read.

    Attributes:
        classes: class names by index; None for a regression.
        outputs: names of the columns of a regression.
        activation: of the output layer, as loss and data asked for it.
        from_logits: the loss made probabilities of the outputs by itself.
    """

    classes: tuple[str, ...] | None
    outputs: tuple[str, ...]
    activation: str
    from_logits: bool

    @classmethod
    def of(cls, experiment: Experiment, known: Description) -> Reading:
        """The reading for a settled experiment and its data."""
        assert experiment.loss is not None
        loss, parameters = experiment.loss, experiment.loss.parameters
        wanted = traits.of_node(loss)
        count = len(known.classes) if known.classes is not None else 1
        _, activation = traits.output_for(wanted, parameters, task=known.task, outputs=count)
        targets = tuple((known.encoding or {}).get("target", ()))
        return cls(known.classes, targets, activation, bool(parameters.get("from_logits")))

    @property
    def probable(self) -> bool:
        """Whether the outputs are probabilities, or become so; a hinge's, say, are scores."""
        return self.activation in ("softmax", "sigmoid") or self.from_logits

    def columns(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """A table's columns by name.

        Args:
            predicted: the model's outputs, shape (rows, outputs).

        Returns:
            `class` and `p_NAME` for each class (`score_NAME` where the outputs are no probabilities); for a regression
            `prediction`, or `prediction_NAME` for each of several targets.
        """
        if self.classes is None:
            flat = predicted.reshape(len(predicted), -1)
            width = flat.shape[1]
            if width == 1:
                return {"prediction": flat[:, 0]}
            names = self.outputs if len(self.outputs) == width else tuple(str(index) for index in range(width))
            return {f"prediction_{name}": flat[:, index] for index, name in enumerate(names)}
        index, scores = self.decided(predicted)
        import numpy as np

        prefix = "p" if self.probable else "score"
        named = {f"{prefix}_{name}": scores[:, place] for place, name in enumerate(self.classes)}
        return {"class": np.asarray(self.classes)[index], **named}

    def decided(self, predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Class indices, shape (rows,), and a probability or score for each class, shape (rows, classes)."""
        import numpy as np

        assert self.classes is not None
        count = len(self.classes)
        if predicted.ndim != 2 or predicted.shape[1] not in ({1, 2} if count == 2 else {count}):
            raise LoadError(f"the model's outputs of shape {predicted.shape[1:]} do not tell {count} classes apart")
        if self.from_logits:
            raised = np.exp(predicted - predicted.max(axis=1, keepdims=True))
            predicted = raised / raised.sum(axis=1, keepdims=True)
        if predicted.shape[1] == 1:
            signed = self.activation == "tanh"
            opposite = -predicted if signed else 1 - predicted
            predicted = np.concatenate([opposite, predicted], axis=1)
        return predicted.argmax(axis=1), predicted
