"""The store: its address, its tables, MLflow's client, and whether it can be written.

Input: the store's settings. Output: a store that is ready to use, clients and queries, addresses of runs and models.
May be imported by every other room of tracking. Imports none of them.
"""
