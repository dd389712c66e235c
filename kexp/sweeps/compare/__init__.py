"""Comparison: rank the choices of a sweep by the results of their trials.

Input: trial results, read from the store or passed on by a sweep that has just ended. Output: rows, ranked by the mean
of the objective over their seeds, each with an interval and a verdict. This package may import `objective`, but nothing
that plans, launches, records or draws.
"""
