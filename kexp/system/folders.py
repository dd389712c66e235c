"""kexp's own folders: its config and its cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "conf_folder"]


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
