"""The manifest of saved files: their SHA-256 digests. A file that changed since it was saved is not loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kexp.errors import LoadError
from kexp.persistence.atomic import write_atomically

__all__ = ["MANIFEST", "digest_of", "read_manifest", "verify_digest", "write_manifest"]

MANIFEST = "manifest.json"
_MAX_BYTES = 4 << 20

Digests = dict[str, dict[str, Any]]
"""Path inside the folder, with forward slashes -> {"sha256": hexadecimal digest, "size_bytes": size}."""


def digest_of(path: Path, filename: str) -> Digests:
    """Computes the digest of a file, or of every file in a folder.

    Args:
        path: the file or folder, possibly under a temporary name.
        filename: its final name, which the result uses.
    """
    if not path.is_dir():
        return {filename: _digest(path)}
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    return {f"{filename}/{file.relative_to(path).as_posix()}": _digest(file) for file in inside}


def write_manifest(folder: Path, files: Digests, pending: Digests | None = None) -> None:
    """Writes the manifest.

    Args:
        folder: the folder of the saved files.
        files: digests of the current files.
        pending: digests of the files that are about to replace them. Either digest is valid while the files are
            replaced one by one, so a killed save leaves only files that verify.
    """
    content = {"version": 1, "files": files, **({"pending": pending} if pending else {})}
    write_atomically(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def read_manifest(folder: Path) -> tuple[Digests, Digests] | None:
    """Reads the manifest of a folder.

    Returns:
        Digests of the current and of the pending files; None if the folder has no manifest.

    Raises:
        LoadError: the manifest cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        content = json.loads(path.read_bytes())
        both = content["files"], content.get("pending", {})
        if not all(isinstance(entry["sha256"], str) for digests in both for entry in digests.values()):
            raise TypeError("a digest is not text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(f"{path} cannot be read: {error}") from error
    return both


def verify_digest(folder: Path, filename: str) -> bool:
    """Compares a saved file, or each file of a saved folder, with the manifest.

    Args:
        folder: the folder of the saved files.
        filename: name of the file or folder in it.

    Returns:
        Whether the folder has a manifest.

    Raises:
        LoadError: a file is missing, unlisted or changed; the message gives both digests.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    path = folder / filename
    if not path.exists():
        raise LoadError(f"{path} does not exist")
    found = digest_of(path, filename)
    versions = [_digests_under(filename, digests) for digests in manifest]
    if any(_sha256_sums(found) == _sha256_sums(version) for version in versions if version):
        return True
    expected = versions[0] or versions[1]
    if not expected:
        raise LoadError(f"{path} is not listed in {MANIFEST}")
    for name in sorted({*expected, *found}):
        wanted, got = _sha256_sums(expected).get(name), _sha256_sums(found).get(name)
        if wanted != got:
            raise LoadError(
                f"{folder / name} has changed since it was saved: {MANIFEST} has sha256 {wanted}, got {got}"
            )
    raise LoadError(f"{path} does not match {MANIFEST}")


def listed_elsewhere(digests: Digests, filenames: Iterable[str]) -> Digests:
    """Returns the entries of `digests` that belong to none of `filenames`."""
    own = {name for filename in filenames for name in _digests_under(filename, digests)}
    return {name: entry for name, entry in digests.items() if name not in own}


def _digests_under(filename: str, digests: Digests) -> Digests:
    """Returns the digests of a saved file; of a folder, those of the files in it."""
    return {name: entry for name, entry in digests.items() if name == filename or name.startswith(f"{filename}/")}


def _sha256_sums(digests: Digests) -> dict[str, str]:
    return {name: entry["sha256"] for name, entry in digests.items()}


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "size_bytes": path.stat().st_size}
