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
    def of(cls, experiment: Experiment, known: Description) -> Reading:
        """The reading for a settled experiment and its data."""
        assert experiment.loss is not None
        loss, parameters = experiment.loss, experiment.loss.parameters
        wanted = traits.of_node(loss)
        count = len(known.classes) if known.classes is not None else 1
        _, activation = traits.output_for(wanted, parameters, task=known.task, outputs=count)
        targets = known.target_names or tuple((known.encoding or {}).get("target", ()))
        logits = bool(parameters.get("from_logits"))
        return cls(known.classes, targets, activation, logits, known.task, known.positions)

    @property
    def probable(self) -> bool:
        """Whether the outputs are probabilities, or become so; a hinge's, say, are scores."""
        return self.activation in ("softmax", "sigmoid") or self.from_logits

    def columns(self, predicted: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """A table's columns by name.

        Args:
            predicted: the model's outputs, shape (rows, outputs).

        Returns:
            `class` and `p_NAME` for each class (`score_NAME` where the outputs are no probabilities); `p_NAME` for each
            label; for a regression `prediction`, or `prediction_NAME` for each of several targets.

        Raises:
            LoadError: there are classes at several positions of a row, which no table holds.
        """
        if self.task == "labels":
            names = self._names(predicted.shape[1])
            prefix = "p" if self.probable else "score"
            found = self._probabilities(predicted)
            return {f"{prefix}_{name}": found[:, index] for index, name in enumerate(names)}
        if self.classes is not None and self.positions:
            raise LoadError(
                f"OUTPUT: must end in .npz, for each row has a class at each of {self.positions}, which no table holds"
            )
        if self.classes is None:
            flat = predicted.reshape(len(predicted), -1)
            width = flat.shape[1]
            if width == 1:
                return {"prediction": flat[:, 0]}
            return {f"prediction_{name}": flat[:, index] for index, name in enumerate(self._names(width))}
        index, scores = self.decided(predicted)
        import numpy as np

        prefix = "p" if self.probable else "score"
        named = {f"{prefix}_{name}": scores[:, place] for place, name in enumerate(self.classes)}
        return {"class": np.asarray(self.classes)[index], **named}

    def decided(self, predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Class indices, shape (rows, *positions), and a probability or score for each class, (..., classes)."""
        import numpy as np

        assert self.classes is not None
        count = len(self.classes)
        if predicted.ndim != 2 + len(self.positions) or predicted.shape[-1] not in ({1, 2} if count == 2 else {count}):
            raise LoadError(f"the model's outputs of shape {predicted.shape[1:]} do not tell {count} classes apart")
        predicted = self._probabilities(predicted)
        if predicted.shape[-1] == 1:
            signed = self.activation == "tanh"
            opposite = -predicted if signed else 1 - predicted
            predicted = np.concatenate([opposite, predicted], axis=-1)
        return predicted.argmax(axis=-1), predicted

    def _names(self, width: int) -> tuple[str, ...]:
        return self.outputs if len(self.outputs) == width else tuple(str(index) for index in range(width))

    def _probabilities(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """What the loss made of the outputs by itself."""
        import numpy as np

        if not self.from_logits:
            return predicted
        raised: NDArray[Any] = np.exp(predicted - predicted.max(axis=-1, keepdims=True))
        whole: NDArray[Any] = raised.sum(axis=-1, keepdims=True)
        if self.task == "labels":
            raised, whole = np.ones_like(predicted), 1 + np.exp(-predicted)
        probabilities: NDArray[Any] = raised / whole
        return probabilities
