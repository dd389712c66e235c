"""What is kept of a sweep's trials: their records, and the models of the best.

In come records of trials that are over. Out go runs in the store, each exactly once, and the tasks that save models.
`trials` and `objective` may be imported from here; nothing that plans, launches or compares.
"""
