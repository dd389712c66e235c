"""Program: a structure's functions, compiled for a fixed number of lanes, and the data on the device.

Input: a `Structure`, a width and a table of rows. Output: a `Program`, which runs an epoch or an evaluation of all
lanes. This package may import `structure` and what that imports, but not `lanes`.
"""
