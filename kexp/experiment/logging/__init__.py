"""What a run logs: parameters, data sets, metrics of epochs, figures, models.

In: a prepared or finished experiment. Out: calls of its tracker.
"""
