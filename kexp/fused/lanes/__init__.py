"""The lanes at work: trials stream through a program's lanes, epoch by epoch, each with callbacks and checkpoints.

In come groups of trials and their structure. Out go epochs and a `LaneResult` for each trial. From here `program`,
`structure` and what they stand on may be imported.
"""
