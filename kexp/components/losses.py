"""Keras' losses that the catalogue calls by another name."""

from __future__ import annotations

from kexp.components.keras_export import KerasExport

__all__ = ["cosine_proximity", "huber_loss", "kullback_leibler_divergence", "logcosh"]

huber_loss = KerasExport("keras.losses:Huber")
logcosh = KerasExport("keras.losses:LogCosh")
kullback_leibler_divergence = KerasExport("keras.losses:KLDivergence")
# Keras' cosine similarity as a loss is negated already: -1 is the same direction, 1 the opposite.
cosine_proximity = KerasExport("keras.losses:CosineSimilarity")
