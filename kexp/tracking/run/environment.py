"""Describes the interpreter, the machine, the packages, and the commit of the user's repository."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from kexp.system.versions import installed_version

__all__ = ["environment", "git_state"]

_PACKAGES = (
    "kexp", "keras", "tensorflow", "jax", "jaxlib", "torch", "numpy", "pandas", "scipy", "scikit-learn",
    "h5py", "hydra-core", "omegaconf", "mlflow", "optuna", "matplotlib",
)  # fmt: skip


def environment(folder: Path | None = None) -> dict[str, Any]:
    """Returns Python, platform, CPU count, the versions of packages that can change a result, and the git state.

    Imports none of the packages. What does not exist is left out.

    Args:
        folder: the folder of the user's repository; the working directory unless given.
    """
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := installed_version(name)) is not None},
    }
    git = git_state(folder or Path.cwd())
    return {**found, "git": git} if git else found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Returns commit, branch, and whether tracked files differ; None outside of a repository or without git."""
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return None
    lines = status.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit = heads.get("branch.oid", "")
    if not commit or commit == "(initial)":
        return None
    return {
        "commit": commit,
        "branch": heads.get("branch.head", ""),
        "dirty": any(not line.startswith("#") for line in lines),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
