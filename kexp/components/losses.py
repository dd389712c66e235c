"""Keras' losses under further names."""

from __future__ import annotations

from kexp.components.keras_export import KerasExport

__all__ = ["cosine_proximity", "huber_loss", "kullback_leibler_divergence", "logcosh"]

huber_loss = KerasExport("keras.losses:Huber")
logcosh = KerasExport("keras.losses:LogCosh")
kullback_leibler_divergence = KerasExport("keras.losses:KLDivergence")
# Keras' CosineSimilarity loss is already negated: -1 for the same direction, 1 for the opposite.
cosine_proximity = KerasExport("keras.losses:CosineSimilarity")
