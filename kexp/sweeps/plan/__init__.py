"""What a sweep will do, found out before compute.

In come a command line's overrides and the config of each preset. Out go trials, each composed and checked, with its
fingerprint, its folder, and whether the store has it already. `trials` and `objective` may be imported from here;
nothing that launches, records or compares.
"""
