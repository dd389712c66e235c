"""`kexp plugin new`: a package that installs and passes its own tests as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from distributions import on_path

from kexp import registry
from kexp.cli import main
from kexp.commands.plugin import create
from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS


def test_a_new_package_installs_and_passes_its_own_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plugin", "new", "sign-steps", "--directory", str(tmp_path)])
    assert ended.value.code == 0
    assert "pip install -e" in capsys.readouterr().out
    package, site = tmp_path / "sign-steps", tmp_path / "site"
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, *install, str(package)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "ignore", str(package)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_a_new_package_of_each_group_registers_a_component_that_builds(group: str, tmp_path: Path) -> None:
    from kexp.testing.contract import build_staged
    from kexp.testing.staging import stage

    folder = create(f"my-{group}", group, tmp_path)
    with on_path(tmp_path / "site", folder):
        component = registry.find(group, f"my_{group}")
        assert component.origin == f"my-{group} 0.1.0"
        assert component.problem() is None
        assert component.signature().summary
        build_staged(group, stage(group, f"my_{group}", {}))


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_a_new_package_of_each_group_keeps_the_contract(
    group: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = create(f"my-{group}", group, tmp_path)
    with on_path(tmp_path / "site", folder), pytest.raises(SystemExit) as ended:
        main(["plugin", "check", group, f"my_{group}"])
    assert ended.value.code == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", ["Upper", "under_score", "1st", "two--hyphens", "-lead", "../out", "a b", ""])
def test_new_refuses_what_is_no_package_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^NAME: must be lower-case words"):
        create(name, "optimizer", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_new_refuses_what_is_taken_and_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^NAME: optimizer=adam exists, of kexp"):
        create("adam", "optimizer", tmp_path)
    with pytest.raises(ConfigError, match=r"^NAME: a module json is installed"):
        create("json", "optimizer", tmp_path)
    with pytest.raises(ConfigError, match=r"did you mean 'optimizer'"):
        create("new-thing", "optimzer", tmp_path)
    with pytest.raises(ConfigError, match=r"^--directory: there is no folder"):
        create("new-thing", "optimizer", tmp_path / "nowhere")
    (tmp_path / "new-thing").mkdir()
    (tmp_path / "new-thing" / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"exists and is not overwritten"):
        create("new-thing", "optimizer", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["new-thing", "kept.txt"]
