"""The compiled program: a structure's functions for a fixed number of lanes, and the data on the device.

In come a `Structure`, a width and a table of rows. Out goes a `Program`, with an epoch and an evaluation of all lanes.
From here `structure` and what it stands on may be imported; not the lanes at work.
"""
