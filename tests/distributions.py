"""Real distributions on the import path, as pip leaves them: a module and its metadata with entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kexp import registry


@contextmanager
def installed(
    folder: Path, name: str, modules: Mapping[str, str], entries: Mapping[str, Mapping[str, str]]
) -> Iterator[None]:
    """A distribution `name` 1.0 for the length of the block.

    Args:
        folder: an empty folder of its own.
        name: the distribution's name.
        modules: module name -> source.
        entries: group -> {name: target}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    information = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in entries.items()]
    (information / "entry_points.txt").write_text("\n".join(lines))
    sys.path.insert(0, str(folder))
    registry.refresh()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for module in modules:
            sys.modules.pop(module, None)
        registry.refresh()


@contextmanager
def on_path(site: Path, project: Path) -> Iterator[None]:
    """A project folder with `src/` and entry points in its pyproject.toml, as an editable install leaves it."""
    import tomllib

    told = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    information = site / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
    groups = told["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups]
    (information / "entry_points.txt").write_text("\n".join(lines))
    before = set(sys.modules)
    sys.path[:0] = [str(site), str(project / "src")]
    registry.refresh()
    try:
        yield
    finally:
        sys.path[:] = [each for each in sys.path if each not in (str(site), str(project / "src"))]
        own = {path.name for path in (project / "src").iterdir()}
        for module in set(sys.modules) - before:
            if module.partition(".")[0] in own:
                sys.modules.pop(module, None)
        registry.refresh()
