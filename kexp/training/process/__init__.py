"""Process: Keras in this process: its backend, its random numbers, its compiled programs on disk, its memory.

Input: the name of a backend, a seed. Output: Keras, imported and seeded. This package imports nothing else of
`training`.
"""
