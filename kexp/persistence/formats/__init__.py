"""The file formats of saved models, one module each.

In: a Keras model. Out: a file or folder, and the model read back from it.
"""
