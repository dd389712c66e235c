"""What a run logs: parameters, data sets, metrics of epochs, figures, models.

Input: a prepared or finished experiment. Output: calls of the run's tracker, and the files of the saved model.
May be imported by the modules that run an experiment. Does not train.
"""
