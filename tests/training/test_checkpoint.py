"""Checkpoints on disk: whole or not there, the last two kept, damage told, another experiment's refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kexp.errors import ConfigError
from kexp.training.checkpoints.checkpoint import (
    Checkpoint,
    Checkpointing,
    Clock,
    latest_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from kexp.training.history import History


def checkpoint(epoch: int) -> Checkpoint:
    history = History(epochs=[(n, {"loss": 1 / n, "val_loss": float("nan")}) for n in range(1, epoch + 1)])
    arrays = {"0": np.random.default_rng(epoch).normal(size=(5, 3)).astype("float32")}
    return Checkpoint(epoch, False, history, {"variables": [{"array": "0"}]}, arrays, ["a thing that is lost"])


@pytest.fixture
def settings(tmp_path: Path) -> Checkpointing:
    return Checkpointing(tmp_path / "checkpoints", fingerprint="f" * 64)


@pytest.fixture
def paths(settings: Checkpointing) -> list[Path]:
    """Two checkpoints on disk, the newest last."""
    settings.folder.mkdir()
    return [save_checkpoint(settings, checkpoint(epoch)) for epoch in (1, 2, 3)][1:]


def test_what_is_saved_is_read_back(settings: Checkpointing, paths: list[Path]) -> None:
    found, notices = latest_checkpoint(settings)
    saved = checkpoint(3)
    assert notices == []
    assert found is not None
    assert (found.epoch, found.finished, found.state, found.lost) == (3, False, saved.state, saved.lost)
    assert repr(found.history.epochs) == repr(saved.history.epochs)
    assert found.history.resumed_from == 3
    assert found.arrays["0"].tobytes() == saved.arrays["0"].tobytes()


def test_the_last_two_are_kept(settings: Checkpointing, paths: list[Path]) -> None:
    assert sorted(settings.folder.iterdir()) == paths


def test_a_new_checkpoint_replaces_damaged_ones_of_later_epochs(settings: Checkpointing, paths: list[Path]) -> None:
    paths[-1].write_bytes(b"")
    rewritten = save_checkpoint(settings, checkpoint(2))
    assert list(settings.folder.iterdir()) == [rewritten]


def test_nothing_is_found_in_an_empty_folder(settings: Checkpointing) -> None:
    assert latest_checkpoint(settings) == (None, [])


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "digest", "foreign", "longer"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    damage: str, settings: Checkpointing, paths: list[Path]
) -> None:
    content = bytearray(paths[-1].read_bytes())
    middle = int(np.random.default_rng().integers(90, len(content)))
    flipped = content.copy()
    flipped[middle] ^= 1
    paths[-1].write_bytes(
        {
            "empty": b"",
            "cut": content[:middle],
            "flipped": flipped,
            "digest": content[:40] + b"0" * 10 + content[50:],
            "foreign": b"PK" + content,
            "longer": content + b"\0",
        }[damage]
    )
    found, notices = latest_checkpoint(settings)
    assert found is not None
    assert found.epoch == 2
    assert len(notices) == 1
    assert "epoch-00000003.checkpoint is damaged" in notices[0]
    assert "after epoch 2" in notices[0]


def test_training_starts_anew_where_all_are_damaged_and_says_so(settings: Checkpointing, paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1])
    found, notices = latest_checkpoint(settings)
    assert found is None
    assert len(notices) == 2
    assert notices[-1].endswith("training starts from the beginning")


def test_every_single_flipped_byte_is_noticed(settings: Checkpointing, paths: list[Path]) -> None:
    content = paths[-1].read_bytes()
    for place in np.random.default_rng().choice(len(content), size=60, replace=False):
        paths[-1].write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        found, notices = latest_checkpoint(settings)
        assert found is not None
        assert (found.epoch, len(notices)) == (2, 1)


def test_a_checkpoint_of_another_experiment_is_refused(settings: Checkpointing, paths: list[Path]) -> None:
    with pytest.raises(ConfigError, match="checkpoint of another experiment"):
        latest_checkpoint(Checkpointing(settings.folder, fingerprint="0" * 64))


def test_nothing_pickled_is_read(settings: Checkpointing, paths: list[Path]) -> None:
    """Also where the digest is right."""
    from hashlib import sha256
    from io import BytesIO

    buffer = BytesIO()
    np.savez(buffer, **{"state.json": np.array([print], dtype=object)})
    content = buffer.getvalue()
    paths[-1].write_bytes(b"kexp-checkpoint 1 " + sha256(content).hexdigest().encode() + b"\n" + content)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        latest_checkpoint(settings)


def test_removal_leaves_no_folder(settings: Checkpointing, paths: list[Path]) -> None:
    remove_checkpoints(settings.folder)
    assert not settings.folder.exists()
    remove_checkpoints(settings.folder)


def test_removal_leaves_what_is_not_ours(settings: Checkpointing, paths: list[Path]) -> None:
    (settings.folder / "notes.txt").write_text("mine")
    remove_checkpoints(settings.folder)
    assert [path.name for path in settings.folder.iterdir()] == ["notes.txt"]


def test_checkpoints_are_due_by_epochs_or_by_seconds(tmp_path: Path) -> None:
    by_epochs = Clock(Checkpointing(tmp_path, "f", every_epochs=3), epoch=2)
    assert [by_epochs.is_due(epoch) for epoch in (3, 4, 5)] == [False, False, True]
    by_epochs.saved(5)
    assert not by_epochs.is_due(6)
    assert Clock(Checkpointing(tmp_path, "f", every_epochs=None, every_seconds=0.0), epoch=0).is_due(1)
    assert not Clock(Checkpointing(tmp_path, "f", every_epochs=None, every_seconds=60.0), epoch=0).is_due(9)
