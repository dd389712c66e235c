"""Columns as features: chosen and learned on the training rows, described for the user.

In: a stored table. Out: encoded rows and the encoding as JSON.
"""
