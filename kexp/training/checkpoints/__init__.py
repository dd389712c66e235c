"""Checkpoints: the state of a training, captured between two epochs, written to disk and restored.

Input: a compiled model, its callbacks and its history. Output: files without executable content, and from them the same
state, bit for bit. This package may import `history`.
"""
