"""Data that is larger than memory: lanes train on blocks of it, and end as those that have all of it in memory."""

from __future__ import annotations

from pathlib import Path

import made
import numpy as np
import pytest

from kexp import fused
from kexp.fused import LaneResult, Trial
from kexp.fused.program.blocks import Blocks

ROWS, FEATURES = 24_000, 6
SMALL_MB = 1  # the data's features take 0.55 MiB, more than half of it
RICH = (
    "model.hidden=[8]",
    "model.dropout=0.2",
    "trainer.epochs=2",
    "trainer.batch_size=130",  # the last batch of an epoch is a smaller one
    "trainer.class_weight={a: 2.0}",
    "callbacks=[early_stopping]",
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes around three points."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, ROWS)
    x = random.normal(size=(ROWS, FEATURES)) + random.normal(size=(3, FEATURES))[labels]
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    lines = [",".join([*(f"{value:.4f}" for value in row), "abc"[label]]) for row, label in zip(x, labels, strict=True)]
    path.write_text("\n".join([",".join([*(f"f{i}" for i in range(FEATURES)), "target"]), *lines]) + "\n")
    return path


def trials(file: Path, *overrides: str) -> list[Trial]:
    """Five, each with an order of its own, of one split: what a file's columns teach is the training rows'."""
    source = ["data=csv", f"data.path={file}", "data.target=target", "data.feed=tfdata", "data.split_seed=0"]
    return [Trial(seed, made.prepared_from(*source, *RICH, *overrides, f"seed={seed}")) for seed in range(5)]


def run(these: list[Trial]) -> dict[int, LaneResult]:
    results = [each for each in fused.run_trials(these) if isinstance(each, LaneResult)]
    assert [each.status for each in results] == ["finished"] * len(these), [each.reason for each in results]
    return {each.trial.key: each for each in results}


def test_lanes_fed_in_blocks_end_as_lanes_with_all_data_in_memory(file: Path) -> None:
    """Bit for bit: the step is the same, whatever table its rows are in."""
    small = trials(file, f"fused.memory_limit_mb={SMALL_MB}", "fused.max_lanes=4")
    (group,) = fused.plan(small).groups
    assert "its data fed in blocks" in group.why
    streamed, whole = run(small), run(trials(file, "fused.max_lanes=4"))
    for key, result in streamed.items():
        assert (result.executor, whole[key].executor) == ("scan in blocks", "scan")
        made.assert_same_bits(result, whole[key])
    made.assert_same_bits(fused.train_one(small[3].prepared), streamed[3])


def test_lane_fed_in_blocks_ends_as_keras_fit_does_on_the_streamed_file(file: Path) -> None:
    only = trials(file, f"fused.memory_limit_mb={SMALL_MB}")[0]
    made.assert_same_as_fit(run([only])[0], rtol=2e-4, atol=2e-5)


def test_blocks_hold_every_row_of_a_pass_in_its_order(file: Path) -> None:
    prepared = trials(file)[0].prepared
    blocks = Blocks(prepared, width=2, room=2**15, place=lambda arrays: arrays)
    order = np.random.default_rng(0).permutation(ROWS)[:10_000]
    rows = np.stack([order, order[::-1]])
    x, _ = prepared.splits.data.source.read(np.arange(ROWS))
    found = [table[0][places] for _, places, table in blocks.read(rows)]
    assert len(found) == len(blocks.cuts(10_000)) > 1
    assert all(table[0].shape[0] == blocks.rows for _, _, table in blocks.read(rows))
    np.testing.assert_array_equal(np.concatenate(found, axis=1), x[rows])


@pytest.mark.parametrize("count", [1, 129, 130, 131, 390, 391, 15_360, 15_400])
def test_blocks_are_cut_between_steps_and_are_of_several_where_there_are_several(file: Path, count: int) -> None:
    blocks = Blocks(trials(file)[0].prepared, width=4, room=2**15, place=lambda arrays: arrays)
    cuts = blocks.cuts(count)
    steps = [cut // 130 for cut in cuts]
    assert sum(cuts) == count
    assert all(cut % 130 == 0 for cut in cuts[:-1])
    assert max(steps) <= blocks.steps
    assert len(cuts) == 1 or min(steps) > 1
    assert max(steps) - min(steps) <= 1
