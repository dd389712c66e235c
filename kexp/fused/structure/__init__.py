"""Structure: which trials can share a compiled program, and which of their numbers are inputs of it.

Input: prepared trials. Output: a key that is equal for trials of the same structure, and a `Structure`: the blueprint,
the functions of one lane, their inputs, the initial state. This package may import `functional` and what that imports.
"""
