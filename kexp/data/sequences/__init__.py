"""Texts as word indices, and windows of time series.

In: a table, or a folder of texts. Out: `Data` whose encoder learns from the training rows.
"""
