"""Where a sweep's trials run: in this process, in worker processes, or as lanes of compiled programs.

In come tasks, plain data that travels. Out go events of their epochs and an outcome for each. A launcher is made by
Hydra, so nothing below imports one; from here `record`, `opening` and what they stand on may be imported.
"""
