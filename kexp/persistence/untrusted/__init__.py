"""Model files of unknown origin: a child process with limits reads them, and their architecture is checked.

Input: a file. Output: a model, or a `LoadError` with the rule that the file breaks.
May be imported by `kexp.persistence`. Code in a file is never executed.
"""
