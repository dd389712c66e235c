from __future__ import annotations

import subprocess
import sys

COMMANDS = ("evaluate", "predict", "export", "reproduce", "ui", "sync", "doctor", "completion")


def test_help_of_the_commands_imports_nothing_heavy() -> None:
    code = f"""
import contextlib, io, sys
from kexp.cli import main
for command in {COMMANDS!r}:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main([command, "--help"])
    assert told.getvalue().startswith(f"usage: kexp {{command}} "), told.getvalue()
heavy = ("hydra", "keras", "tensorflow", "jax", "mlflow", "numpy", "pandas", "matplotlib", "sklearn")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
