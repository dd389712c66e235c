"""What a run ran on."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from kexp.tracking import environment
from kexp.tracking.run.environment import git_state


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_environment_names_python_and_packages(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found["python"] == platform.python_version()
    assert found["packages"]["keras"] == version("keras")
    assert found["packages"]["mlflow"] == version("mlflow")
    assert found["cpu_count"] >= 1
    assert "git" not in found


def test_git_state_is_commit_branch_and_whether_files_differ(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    assert git_state(tmp_path) is None
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": commit, "branch": "trunk", "dirty": False}
    (tmp_path / "untracked").write_text("an output folder, say")
    assert git_state(tmp_path) == {"commit": commit, "branch": "trunk", "dirty": False}
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path) == {"commit": commit, "branch": "trunk", "dirty": True}
    assert environment(tmp_path)["git"]["commit"] == commit
