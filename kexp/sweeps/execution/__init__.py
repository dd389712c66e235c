"""Running a sweep: its state, its own run, the events of its trials, and its end.

Input: planned trials, a launcher and the store. Output: recorded trials, a comparison and a report. This package may
import what plans, records and compares; the sweepers import it.
"""
