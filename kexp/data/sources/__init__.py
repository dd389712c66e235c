"""Components of the group `data` that hold arrays, images or a function's result.

In: the config of the component. Out: `Data`.
"""
