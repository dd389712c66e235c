"""The code of one's own that a run kept: held against what is there now, or taken in its place."""

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

__all__ = ["changed_code", "kept_code"]

_CODE = "code"


def changed_code(run: StoredRun, experiment: Experiment) -> list[str]:
    """The files that the run kept which are another now, or gone."""
    from kexp.experiment.recording import own_sources

    kept = run.files(_CODE)
    now = own_sources(experiment) if kept else {}
    changed = []
    for path in kept:
        name = path.removeprefix(f"{_CODE}/")
        text = now[name].read_text(encoding="utf-8", errors="replace") if name in now else None
        if text != run.text(path):
            changed.append(name)
    return changed


@contextmanager
def kept_code(run: StoredRun, code: str) -> Iterator[None]:
    """With `code="run"` modules are imported from what the run kept, with "now" from where they are.

    Raises:
        LoadError: the run kept no code, or its store is not believed.
        ConfigError: this process has imported one of the modules already.
    """
    if code != "run":
        yield
        return
    files = run.files(_CODE)
    if not files:
        raise LoadError(f"{run.label} kept no code: its config names none of your own, or it is older than that")
    if not run.trusted:
        raise LoadError(f"{run.label}: its code would run here; the store is a server, so say that you trust the run")
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
