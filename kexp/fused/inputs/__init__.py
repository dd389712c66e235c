"""Inputs: the numbers of a config that may differ between lanes, and how a compiled program takes them as inputs.

Input: a checked config, and objects that were built from it. Output: the numbers by config path, the attributes that
hold them, and symbols that stand in for them while a program is traced. This package imports nothing else of `fused`.
"""
