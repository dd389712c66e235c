"""A loss that is a class and one that is a bare function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import kexp
from kexp.rules import Range

if TYPE_CHECKING:
    from kexp_example.parts.poly_crossentropy import PolyCrossentropy

__all__ = ["poly_crossentropy", "quantile_loss"]


@kexp.declare(targets="one_hot", output="softmax")
def poly_crossentropy(epsilon: Annotated[float, Range(ge=-1)] = 1.0) -> PolyCrossentropy:
    """Crossentropy with the first term of its series weighed anew: -log(p) + epsilon (1 - p), p that of the class.

    Args:
        epsilon: added weight of the term 1 - p; >= -1; 0 is the crossentropy itself.

    Source:
        Leng et al. (2022), PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions, equation 9.
    """
    from kexp_example.parts.poly_crossentropy import PolyCrossentropy

    return PolyCrossentropy(epsilon)


@kexp.declare(task="regression")
def quantile_loss(y_true: Any, y_pred: Any, quantile: Annotated[float, Range(gt=0, lt=1)] = 0.9) -> Any:
    """The pinball loss, least where predictions are the given quantile of the targets.

    With e = y_true - y_pred it is the mean over outputs of max(q e, (q - 1) e). A bare function of (y_true, y_pred):
    what follows those two are its parameters.

    Args:
        y_true: targets, shape (batch, outputs).
        y_pred: predictions, shape (batch, outputs).
        quantile: q, in (0, 1).

    Returns:
        One loss a row, shape (batch,), in the unit of y.

    Source:
        Koenker and Bassett (1978), Regression Quantiles.
    """
    from keras import ops

    error = ops.cast(y_true, y_pred.dtype) - y_pred
    return ops.mean(ops.maximum(quantile * error, (quantile - 1.0) * error), axis=-1)
