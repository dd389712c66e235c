"""The search space: axes, the values of each, and the choices that each depends on.

Input: the command line, YAML (`hydra.sweeper.space`), or what a model's code declares. Output: a `Space`, checked
against the configs of its choices.
May be imported by the other modules of the search. Imports none of them.
"""
