"""The source of a module of one's own, and of the modules beside it that it imports; found without running any."""

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
    """The files of a module and of what it imports from the folder that it was found in, by their path in there.

    Args:
        module: its dotted name.

    Returns:
        At most 200 files of 2 MB in all; of an installed package the one file. Empty where there is no source.
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
    """The dotted names of a module and of those beside it that it imports; of an installed package the one."""
    if not is_kept(module):
        return [module]
    return [
        module,
        *(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources_of(module)),
    ]


def digest_of(module: str) -> str:
    """A digest of a module's sources, so that changed code is another version; empty where there are none."""
    sources = sources_of(module)
    if not sources:
        return ""
    digest = hashlib.sha256()
    for name, file in sorted(sources.items()):
        digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()[:12]


def imports_keras(module: str) -> bool:
    """Whether a module, or one beside it, imports Keras or TensorFlow as it is imported."""
    return any(_KERAS.search(file.read_bytes()) for file in sources_of(module).values())


def is_kept(module: str) -> bool:
    """Whether a module is somebody's own file, and no installed package's, which pip has."""
    try:
        file = source_file(module)
        return "site-packages" not in file.parts and not str(file).startswith(_STANDARD)
    except (ImportError, ValueError, AttributeError):
        return False


def meant_reference(name: str) -> str | None:
    """The reference that a name was meant for, as `mine:loss` for `mine.loss`, `mine.py:loss` or `./mine.py`.

    Args:
        name: what is neither a registered name nor a reference to a module that exists.

    Returns:
        None where there is no such module either.
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
    """The `__init__.py` of each package that a dotted name goes through."""
    parts = module.split(".")
    return [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]


@lru_cache(maxsize=1024)
def _imports(file: Path, changed_ns: int, root: Path) -> tuple[str, ...]:
    """The dotted names that a file imports; `changed_ns` makes a changed file another one."""
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
