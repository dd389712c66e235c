"""A sweep over Keras' backends: each process imports one, and no trial is the worse for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexp.cli import main
from kexp.sweeps.feed import Feed
from kexp.sweeps.trials import Task
from kexp.tracking import StoreSettings, search

SMALL = [
    "data=random",
    "data.rows=40",
    "trainer.batch_size=16",
    "trainer.epochs=1",
    "save=none",
    "tracking.figures=false",
]


def task(number: int, backend: str) -> Task:
    return Task(number, {"backend": backend}, (), "", "")


def test_a_worker_is_given_trials_of_its_backend_first() -> None:
    feed = Feed([task(0, "jax"), task(1, "tensorflow"), task(2, "jax"), task(3, "tensorflow")])
    for number in (1, 3):
        assert feed.take(lambda each: each.config["backend"] == "tensorflow").number == number
    assert feed.take(lambda each: each.config["backend"] == "tensorflow").number == 0  # none is left that fits
    assert len(feed) == 4
    assert [each.number for each in feed] == [2]


def test_one_worker_runs_trials_of_two_backends(workplace: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["-m", *SMALL, "seed=1,2", "backend=tensorflow,jax", "hydra.launcher.n_workers=1"])
    assert not end.value.code
    trials = [view for view in search(StoreSettings()) if view.parent_run_id is not None]
    assert sorted((view.params["backend"], view.params["seed"], view.status) for view in trials) == [
        (backend, seed, "FINISHED") for backend in ("jax", "tensorflow") for seed in "12"
    ]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["backend=torch"], "backend: torch is not installed; pip install 'kexp[torch]'"),
        (["backend=jax", "save.formats=[tf_checkpoint]"], "save.formats: tf_checkpoint needs backend=tensorflow"),
    ],
)
def test_what_is_not_installed_is_found_before_anything_runs(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    expected: str,
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "torch" else found(name, *more))
    with pytest.raises(SystemExit) as end:
        main(["-m", *SMALL, "seed=1,2", "save.formats=[h5]", *overrides])
    assert end.value.code == 2
    assert f"no trial of the sweep is valid: {expected}" in capsys.readouterr().err
    assert not (workplace / "multirun").exists()
