"""The file formats of saved models, one module each.

Input: a Keras model. Output: a file or folder, and the model read back from it.
Registered as components in pyproject.toml. Imports nothing of `untrusted`.
"""
