"""Overrides as typed: quoted for Hydra's grammar, refused with a sentence, completed.

In: words of the command line. Out: overrides that Hydra reads as they were meant.
"""
