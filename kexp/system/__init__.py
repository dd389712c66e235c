"""The process and its machine: child processes, signals, folders, disk, output, passwords.

Imports `kexp.errors` alone. May be imported by everything.
"""
