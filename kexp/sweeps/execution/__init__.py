"""One sweep while it runs: its own run, its trials' events, and its end.

In: planned trials, a launcher and the store. Out: recorded trials, a comparison and a report.
Imports what is planned, recorded and compared; imported by the sweepers.
"""
