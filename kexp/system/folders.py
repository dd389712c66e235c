"""kexp's own folders, its config and its cache, and the user's working directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "conf_folder", "import_from_here", "shown_path"]


def cache_folder() -> Path:
    """Returns the cache folder: `KEXP_CACHE` if set, else the platform's usual one for the user."""
    given = os.environ.get("KEXP_CACHE")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kexp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "kexp" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kexp"


def conf_folder() -> Path:
    """Returns the folder of the primary config: inside the installed package, or beside it in a clone.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"kexp was installed without its conf folder (looked in {package})")


def import_from_here() -> None:
    """Makes the modules in the working directory importable, for references to the user's own modules."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def shown_path(path: str | Path) -> str:
    """Returns a path for a message: relative to the working directory if it is inside, else absolute."""
    here, path = Path.cwd(), Path(path).absolute()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
