"""Planning: turn a sweep's overrides into checked trials, before any compute.

Input: the command line's overrides and the config of each preset. Output: trials, each composed, checked and
fingerprinted, with its folder and whether the store already has its result. This package may import `trials` and
`objective`, but nothing that launches, records or compares.
"""
