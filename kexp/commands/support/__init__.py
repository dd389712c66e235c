"""What the commands share, and the parts of a command that would make its module long.

Input: parsed arguments. Output: parsers, lines to print, findings of `kexp doctor`, completions.
May be imported by the commands. Imports none of them.
"""
