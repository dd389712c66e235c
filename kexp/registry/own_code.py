"""The source files of a user's module, and of the user's modules that it imports; nothing is imported to find them."""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from kexp.signatures import source_file

__all__ = ["digest_of", "imports_keras", "is_kept", "meant_reference", "modules_of", "sources_of"]

_MOST_FILES, _MOST_BYTES = 200, 2_000_000
_KERAS = re.compile(rb"^(?:import|from)[ \t]+(?:keras|tensorflow|tf_keras)", re.MULTILINE)
_STANDARD = sysconfig.get_path("stdlib")


def sources_of(module: str) -> dict[str, Path]:
    """Returns the files of a module and of the modules that it imports from its own folder, by relative path.

    Args:
        module: its dotted name.

    Returns:
        At most 200 files and 2 MB in all; for an installed package only its own file. Empty if there is no source.
    """
    try:
        file = source_file(module)
    except (ImportError, ValueError, AttributeError):
        return {}
    if not is_kept(module):
        return {file.name: file}
    root = file.parents[len(module.split(".")) - (file.name != "__init__.py")]
    found: dict[str, Path] = {}
    waiting, size = [file, *_packages(root, module)], 0
    while waiting and len(found) < _MOST_FILES:
        each = waiting.pop(0)
        name = each.relative_to(root).as_posix()
        if name in found or not each.is_file() or size + each.stat().st_size > _MOST_BYTES:
            continue
        found[name] = each
        size += each.stat().st_size
        for imported in _imports(each, each.stat().st_mtime_ns, root):
            waiting += [*_packages(root, imported), root.joinpath(*imported.split(".")).with_suffix(".py")]
    return found


def modules_of(module: str) -> list[str]:
    """Returns the dotted names of a module and of the user's modules that it imports."""
    if not is_kept(module):
        return [module]
    return [
        module,
        *(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources_of(module)),
    ]


def digest_of(module: str) -> str:
    """Returns a digest of a module's sources, which identifies its version; empty if there are none."""
    sources = sources_of(module)
    if not sources:
        return ""
    digest = hashlib.sha256()
    for name, file in sorted(sources.items()):
        digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()[:12]


def imports_keras(module: str) -> bool:
    """Returns whether importing a user's module imports Keras or TensorFlow."""
    return any(_KERAS.search(file.read_bytes()) for file in sources_of(module).values())


def is_kept(module: str) -> bool:
    """Returns whether a module is a user's file and not part of an installed package, which pip can install again."""
    try:
        file = source_file(module)
        return "site-packages" not in file.parts and not str(file).startswith(_STANDARD)
    except (ImportError, ValueError, AttributeError):
        return False


def meant_reference(name: str) -> str | None:
    """Returns the reference that a name probably means: `mine:loss` for `mine.loss`, `mine.py:loss` or `./mine.py`.

    Args:
        name: neither a registered name nor a reference to an existing module.

    Returns:
        None if there is no such module.
    """
    place, colon, attribute = name.partition(":")
    module = place.removeprefix(f"{Path.cwd()}/").removeprefix("./").replace("/", ".")
    if colon:
        found = f"{module.removesuffix('.py')}:{attribute}"
        return found if found != name and _is_module(module.removesuffix(".py")) and not _is_module(place) else None
    first, *rest = module.removesuffix(".py").split(".")
    while rest and _is_module(f"{first}.{rest[0]}"):
        first = f"{first}.{rest.pop(0)}"
    if not (_is_module(first) if rest else is_kept(first)):  # `random` alone is no module of the user's
        return None
    return f"{first}:{'.'.join(rest) or 'NAME'}"


def _is_module(name: str) -> bool:
    try:
        return source_file(name).is_file()
    except (ImportError, ValueError, AttributeError):
        return False


def _packages(root: Path, module: str) -> list[Path]:
    """Returns the path of `__init__.py` for each package in a dotted name."""
    parts = module.split(".")
    return [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]


@lru_cache(maxsize=1024)
def _imports(file: Path, changed_ns: int, root: Path) -> tuple[str, ...]:
    """Returns the dotted names that a file imports; `changed_ns` is part of the cache's key."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ()
    inside = file.relative_to(root).parent.parts
    return tuple(name for node in ast.walk(tree) for name in _named(node, inside) if name)


def _named(node: ast.AST, inside: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = inside[: len(inside) - node.level + 1] if node.level else ()
        home = ".".join([*base, *([node.module] if node.module else [])])
        yield home
        yield from (f"{home}.{alias.name}".lstrip(".") for alias in node.names if alias.name != "*")
