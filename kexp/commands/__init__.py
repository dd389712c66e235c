"""The commands of `kexp`: one module for each, imported when the command runs.

Input: the arguments after the command's name. Output: printed lines, and an exit code.
A command may import everything but another command; what commands share is in `support`.
"""

from __future__ import annotations

# Command -> its one-line help. The module `kexp.commands.NAME` has `main(arguments)`, which returns an exit code.
COMMANDS = {
    "components": "list the components of each group and the packages that they come from",
    "show": "show a component's parameters, defaults and documentation, or a run",
    "describe": "show the data as a run would see it: columns, targets, splits",
    "plan": "show what a sweep would run, without running it",
    "resume": "run the missing and failed trials of a sweep",
    "compare": "rank the choices of a sweep over their seeds, and test each against the best",
    "evaluate": "measure a run's saved model again, on its own test rows or on other data",
    "predict": "apply a run's saved model to the rows of a file",
    "export": "write a run's model in other formats",
    "promote": "register a run's model in MLflow's model registry, under an alias",
    "reproduce": "run a run's config again and compare the history",
    "ui": "show the runs in MLflow's web page",
    "sync": "deliver the runs and trials that wait on disk for their store",
    "doctor": "find problems: packages, plugins, store, runs, files",
    "plugin": "write a package with a component of your own, or check installed components",
    "completion": "print the completion script for bash, zsh or fish",
}
