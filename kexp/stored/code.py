"""The user's code that a run recorded: compares it with the current files, or imports it instead of them."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kexp.errors import ConfigError, LoadError
from kexp.schema import Experiment
from kexp.stored.runs import StoredRun

__all__ = ["changed_code", "recorded_code"]

_CODE = "code"


def changed_code(run: StoredRun, experiment: Experiment) -> list[str]:
    """Returns the names of recorded files that have changed since the run, or no longer exist."""
    from kexp.experiment.own_files import own_sources

    recorded = run.files(_CODE)
    now = own_sources(experiment) if recorded else {}
    changed = []
    for path in recorded:
        name = path.removeprefix(f"{_CODE}/")
        text = now[name].read_text(encoding="utf-8", errors="replace") if name in now else None
        if text != run.text(path):
            changed.append(name)
    return changed


@contextmanager
def recorded_code(run: StoredRun, code: str) -> Iterator[None]:
    """Imports the user's modules from the run's recorded code within the block.

    Args:
        run: the run.
        code: "run" for the recorded code, "now" for the current files.

    Raises:
        LoadError: the run recorded no code, or is not trusted.
        ConfigError: this process has already imported one of the modules.
    """
    if code != "run":
        yield
        return
    files = run.files(_CODE)
    if not files:
        raise LoadError(f"{run.label} recorded no code: its config names none of your modules, or kexp was older")
    if not run.trusted:
        raise LoadError(
            f"{run.label}: its code would run here, and the store is a server; state that you trust the run"
        )
    names = {path.removeprefix(f"{_CODE}/").removesuffix(".py").split("/")[0] for path in files}
    for name in sorted(names & sys.modules.keys()):
        raise ConfigError(f"code: this process has imported {name} already; take the run's code in a new process")
    with tempfile.TemporaryDirectory(prefix="kexp-code-") as folder:
        for path in files:
            text, file = run.text(path) or "", Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        sys.path.insert(0, str(Path(folder, _CODE)))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(Path(folder, _CODE)))
