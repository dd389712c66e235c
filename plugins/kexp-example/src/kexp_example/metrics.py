"""Calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kexp
from kexp.rules import Count

if TYPE_CHECKING:
    from kexp_example.parts.calibration_error import CalibrationError

__all__ = ["calibration_error"]


@kexp.declare(task="classification")
def calibration_error(bins: Count = 15) -> CalibrationError:
    """Expected calibration error: how far stated confidence is from accuracy, on average over bins of confidence.

    Args:
        bins: bins of equal width over [0, 1]; >= 1.

    Source:
        Guo, Pleiss, Sun and Weinberger (2017), On Calibration of Modern Neural Networks, equation 3.
    """
    from kexp_example.parts.calibration_error import CalibrationError

    return CalibrationError(bins)
