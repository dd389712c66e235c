"""Functional: a Keras model as pure functions of one lane, and how such a function becomes one of many lanes.

Input: a prepared trial. Output: a `Blueprint` (the built model), its `InitialState`, its `LaneFunctions`, and lowering
for a fixed number of lanes. This package may import `inputs`, `trial` and `shared`.
"""
