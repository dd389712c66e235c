"""Parts of the rows: training, validation, test and folds, by chance, time or group.

In: data. Out: `Part`s, whose order in each epoch only the seed decides.
Imports the data model alone.
"""
