"""What the results of trials say of the choices between them.

In come trial results, read from the store or handed over by a sweep that has just ended. Out go rows, ranked by the
objective over their seeds, each with its interval and its verdict. `objective` may be imported from here; nothing that
plans, launches, records or draws.
"""
