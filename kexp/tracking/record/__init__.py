"""A run's record: what it logs, as rows with MLflow's rules, and its figures.

Input: parameters, metrics, texts and files of a run. Output: `Row`s, and a `RunRecord` of a run that is over.
May be imported by every other room of tracking but the store, which it imports.
"""
