"""Lanes: trials that train in the lanes of a program, epoch by epoch, each with its own callbacks and checkpoints.

Input: groups of trials and their structure. Output: an event for each epoch, and a `LaneResult` for each trial. This
package may import `program`, `structure` and what those import.
"""
