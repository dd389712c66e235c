"""The checks of `kexp doctor`, one function for each subject. Each yields its findings, good and bad."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kexp import registry
from kexp.commands.support.options import default_folders
from kexp.errors import StoreError, first_line, without_passwords
from kexp.system.versions import installed_version

__all__ = ["Finding", "components", "environment", "files", "packages", "runs", "store", "waiting"]

_STRAY = re.compile(r"^\.tmp-(\d+)-[0-9a-f]{8}-|^\.(?:.+\.db|mlflow-.+)\.[0-9a-f]{32}\.new$")
_LITTLE_SPACE_BYTES = 200 << 20
_BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        area: the subject, shown at the beginning of the line.
        ok: False for a problem.
        text: one line for the user.
        fix: repairs the problem and returns a line about it; None if only the user can.
    """

    area: str
    ok: bool
    text: str
    fix: Callable[[], str] | None = None


def environment() -> Iterator[Finding]:
    """Checks kexp, Python and the free space on the disk."""
    from kexp._version import __version__
    from kexp.system.folders import conf_folder

    yield Finding("kexp", True, f"{__version__}, Python {platform.python_version()} at {sys.executable}")
    try:
        conf_folder()
    except FileNotFoundError as error:
        yield Finding("kexp", False, str(error))
    free = shutil.disk_usage(".").free
    if free < _LITTLE_SPACE_BYTES:
        yield Finding("disk", False, f"only {free >> 20} MB are free here; a run that fills the disk cannot end")


def packages() -> Iterator[Finding]:
    """Checks that required packages are installed in a supported version, and lists the backends."""
    from packaging.requirements import Requirement

    found, problems = [], []
    for text in metadata.requires("kexp") or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        version = installed_version(needed.name)
        if version is None:
            problems.append(f"{needed.name} is not installed; pip install '{needed.name}{needed.specifier}'")
        elif not needed.specifier.contains(version, prereleases=True):
            problems.append(f"{needed.name} {version} is installed, but kexp needs {needed.name}{needed.specifier}")
        else:
            found.append(f"{needed.name} {version}")
    yield Finding("packages", True, ", ".join(found))
    yield from (Finding("packages", False, sentence) for sentence in problems)
    installed = [f"{name} {version}" for name in _BACKENDS if (version := installed_version(name))]
    absent = [
        f"{name} is not installed (pip install 'kexp[{name}]')" for name in _BACKENDS if not installed_version(name)
    ]
    yield Finding("backends", bool(installed), ", ".join([*installed, *absent]))


def components() -> Iterator[Finding]:
    """Checks that every registered component imports and that no two have the same name."""
    counted: Counter[str] = Counter()
    problems = []
    for name, component in registry.components():
        counted[component.origin] += 1
        if component.claimants:
            problems.append(
                f"{component.group}={name} of {component.origin} is also claimed by {', '.join(component.claimants)}"
            )
        problem = None if component.exported and component.distribution == registry.OURSELVES else component.problem()
        if problem:
            problems.append(problem)
    problems += registry.misplaced()
    yield Finding("plugins", True, ", ".join(f"{count} components of {origin}" for origin, count in counted.items()))
    yield from (Finding("plugins", False, sentence) for sentence in dict.fromkeys(problems))


def store(uri: str | None) -> Iterator[Finding]:
    """Checks that the store can be reached and written, and that its tables fit the installed MLflow.

    Args:
        uri: the tracking URI; None for the default store.
    """
    from kexp.tracking import StoreSettings, prepare_store, resolve_uri
    from kexp.tracking.settings import database_file
    from kexp.tracking.store.prepare import check_writable
    from kexp.tracking.store.server_check import check_usable

    settings = StoreSettings(uri=uri)
    resolved = resolve_uri(settings)
    shown, file = without_passwords(resolved), database_file(resolved)
    if file is not None and not file.is_file():
        yield Finding("store", True, f"none yet at {shown}; the first run creates it")
        return
    check_usable(resolved)
    if file is None:
        yield Finding("store", True, f"{shown} answers")
        return
    check_writable(file)
    state = _tables(resolved)
    if state in ("older", "empty"):
        old = "has no tables yet" if state == "empty" else "has the tables of an older MLflow"

        def migrate() -> str:
            prepare_store(settings)
            return "the tables are up to date"

        yield Finding("store", False, f"{shown} {old}; the next run updates it", migrate)
    elif state == "newer":
        yield Finding("store", False, f"{shown} was written by a newer MLflow than this one; pip install -U mlflow")
    else:
        yield Finding("store", True, f"{shown}, {file.stat().st_size / 1e6:.1f} MB, tables up to date")


def runs(uri: str | None) -> Iterator[Finding]:
    """Checks that every run with the status RUNNING has a live process.

    Args:
        uri: the tracking URI; None for the default store.
    """
    from kexp.stored.runs import experiments
    from kexp.tracking import RunView, StoreSettings, mark_failed, resolve_uri, search, stale_runs
    from kexp.tracking.settings import database_file
    from kexp.tracking.store.client import check_reachable

    address = resolve_uri(StoreSettings(uri=uri))
    file = database_file(address)
    try:
        check_reachable(address)
        if file is not None and (not file.is_file() or _tables(address) != "current"):
            return
    except StoreError:  # the check of the store reports it
        return
    running = 0
    for name in experiments(StoreSettings(uri=uri)):
        own = StoreSettings(uri=uri, experiment=name)
        running += sum(1 for _ in search(own, status="RUNNING"))
        for view in stale_runs(own):

            def end(own: StoreSettings = own, view: RunView = view) -> str:
                mark_failed(own, [view])
                return f"run {view.run_id} is FAILED now"

            running -= 1
            yield Finding("runs", False, f"{view.run_id} ({view.name}) says RUNNING, but its process is gone", end)
    yield Finding("runs", True, f"{running} in progress")


def _tables(uri: str) -> str:
    """Returns the result of `schema_state` for a database."""
    from kexp.tracking.store.client import load_mlflow
    from kexp.tracking.store.database.schema import schema_state

    load_mlflow()
    try:
        return schema_state(uri)
    except Exception as error:  # a damaged file may raise anything in SQLAlchemy
        raise StoreError(f"{without_passwords(uri)} cannot be read as a database: {first_line(error)}") from error


def waiting() -> Iterator[Finding]:
    """Checks that no rows wait on disk for a store, except those of runs in progress."""
    from kexp.tracking import command_line, waiting_folders
    from kexp.tracking.store.locks import file_lock

    found = [path for folder in default_folders() for path in waiting_folders(folder)]
    left = 0
    for path in found:
        with file_lock(path / "outbox" / "lock", wait=False) as locked:
            if locked:
                left += 1
                yield Finding(
                    "waiting", False, f"{path} has rows that wait; deliver them: {command_line('sync', str(path))}"
                )
    if not left:
        yield Finding("waiting", True, "nothing waits for a store")


def files() -> Iterator[Finding]:
    """Checks that there are no temporary files of processes that have ended."""
    import psutil

    from kexp.persistence.atomic import remove

    here = list(Path().iterdir())
    below = [path for folder in default_folders() for path in folder.rglob(".*")]
    strays = 0
    for path in [*here, *below]:
        match = _STRAY.match(path.name)
        if match is None or (match[1] and psutil.pid_exists(int(match[1]))):
            continue
        strays += 1

        def sweep(path: Path = path) -> str:
            remove(path)
            return f"{path} was removed"

        yield Finding("files", False, f"{path} was left behind by a process that died", sweep)
    if not strays:
        yield Finding("files", True, "nothing left behind")
