"""Keras' optimizers with another default learning rate; the others come from Keras' exports."""

from __future__ import annotations

from kexp.components.keras_export import KerasExport

__all__ = ["adadelta", "adagrad", "adamax", "nadam"]

adagrad = KerasExport("keras.optimizers:Adagrad", learning_rate=0.01)
adadelta = KerasExport("keras.optimizers:Adadelta", learning_rate=1.0)
adamax = KerasExport("keras.optimizers:Adamax", learning_rate=0.002)
nadam = KerasExport("keras.optimizers:Nadam", learning_rate=0.002)
