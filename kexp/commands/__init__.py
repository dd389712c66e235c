"""What a person types after `kexp`, besides overrides: one module a command, imported when it is used."""

from __future__ import annotations

# Command -> its one-line help. The module `kexp.commands.NAME` has `main(arguments)`, which returns an exit code.
COMMANDS = {
    "components": "list what can be chosen, and from which package it comes",
    "show": "show a component's parameters, defaults and documentation",
    "describe": "show the data as a run would see it: columns, targets, parts",
    "plan": "say what a sweep would run, without running it",
    "resume": "run what is missing or failed of a sweep",
    "compare": "rank the choices of a sweep over their seeds, and test each against the best",
    "evaluate": "measure a run's saved model again, on its own test rows or on other data",
    "predict": "apply a run's saved model to the rows of a file",
    "export": "write a run's model in other formats",
    "promote": "register a run's model in MLflow's model registry, under an alias",
    "reproduce": "run a run's config again and compare the history",
    "ui": "show the runs in MLflow's page",
    "sync": "deliver what waits on disk for a store that was away",
    "doctor": "look for what is wrong: packages, plugins, store, runs, files",
    "plugin": "write a package with a component of your own, or check what is installed",
    "completion": "print the script that completes kexp's words in bash, zsh or fish",
}
