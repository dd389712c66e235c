"""Batches for Keras: the same rows in the same order from NumPy and from tf.data.

In: a part of a split. Out: what `fit`, `evaluate` and `predict` take.
The top room of data.
"""
