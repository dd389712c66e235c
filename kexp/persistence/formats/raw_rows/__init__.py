"""Raw rows as inputs of a TensorFlow graph, for the format `saved_model`.

Input: the description of rows and outputs in `serving.json`. Output: TensorFlow operations that encode raw rows, and
sample rows to verify them on. May be imported by `saved_model`. Does the same as `kexp.serving` does with NumPy.
"""
