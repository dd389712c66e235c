"""The store: its address, its tables, MLflow's client, and whether it can be written.

In: the store's settings. Out: a store that is ready, connections to it, and addresses of runs and models.
May be imported by every other room of tracking. Imports none of them.
"""
