from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kexp.data import Data, Part, arrays, epoch_order, feed, split, write_tfrecord
from kexp.data.sources.builtin import digits
from kexp.data.table.component import csv
from kexp.data.tfrecord.component import tfrecord
from kexp.errors import ConfigError

FORMS = ["arrays", "csv", "tfrecord"]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks a pass, the last of them short, where rows are streamed."""
    monkeypatch.setattr("kexp.data.feeding.tfdata.BLOCK_ROWS", 50)


def _data(form: str, folder: Path, random: np.random.Generator) -> Data:
    rows = 230
    x, y = random.normal(size=(rows, 5)).astype(np.float32), random.permutation(np.arange(rows) % 3)
    if form == "csv":
        pd.DataFrame(x.astype(np.float64), columns=list("abcde")).assign(y=y).to_csv(folder / "a.csv", index=False)
        return csv(str(folder / "a.csv"), "y")
    if form == "tfrecord":
        write_tfrecord(folder / "a.tfrecord", x, y)
        return tfrecord(str(folder / "a.tfrecord"))
    return arrays(x, y)


def _take(batches: Any, count: int | None = None) -> list[tuple[np.ndarray, ...]]:
    return [tuple(np.asarray(array) for array in batch) for batch in itertools.islice(iter(batches), count)]


def _equal(left: list[tuple[np.ndarray, ...]], right: list[tuple[np.ndarray, ...]]) -> bool:
    return len(left) == len(right) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for one, other in zip(left, right, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_size", [1, 16, 47])
def test_both_feeds_give_the_same_batches_bit_for_bit(
    form: str, batch_size: int, tmp_path: Path, random: np.random.Generator
) -> None:
    part = split(_data(form, tmp_path, random)).train.encode("one_hot")
    options: dict[str, Any] = {"batch_size": batch_size, "seed": 11, "class_weight": {0: 2.0, 2: 0.5}}
    numpy, tfdata = feed(part, kind="numpy", **options), feed(part, kind="tfdata", **options)
    steps = 3 * numpy.steps_per_epoch
    expected = _take(numpy.epochs(), steps)
    assert _equal(_take(tfdata.epochs(), steps), expected)
    assert _equal(_take(numpy.once()), _take(tfdata.once()))
    x, y = part.arrays()
    labels = part.labels
    for step, batch in enumerate(expected):
        epoch, at = divmod(step, numpy.steps_per_epoch)
        rows = epoch_order(len(part), 11, epoch)[at * batch_size : (at + 1) * batch_size]
        weights = np.array([2.0, 1.0, 0.5], dtype=np.float32)[labels[rows]]
        assert _equal([batch], [(x[rows], y[rows], weights)])
    assert np.array_equal(np.concatenate([batch[0] for batch in _take(numpy.once())]), x)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["numpy", "tfdata"])
@pytest.mark.parametrize("steps_per_epoch", [None, 3, 17])
def test_a_feed_that_begins_later_is_the_tail_of_one_that_began_at_the_start(
    form: str, kind: Any, steps_per_epoch: int | None, tmp_path: Path, random: np.random.Generator
) -> None:
    part = split(_data(form, tmp_path, random)).train
    made = feed(part, kind=kind, batch_size=16, seed=2, steps_per_epoch=steps_per_epoch, epochs=6)
    steps = steps_per_epoch or -(-len(part) // 16)
    assert made.steps_per_epoch == steps
    whole = _take(made.epochs())
    assert len(whole) == 6 * steps
    for first in (1, 4, 6):
        assert _equal(_take(made.epochs(first)), whole[first * steps :])


def test_epochs_with_fewer_steps_go_on_where_the_last_one_stopped() -> None:
    part = split(digits()).train
    short, full = (feed(part, batch_size=32, seed=1, steps_per_epoch=steps) for steps in (5, None))
    assert _equal(_take(short.epochs(), 50), _take(full.epochs(), 50))


def test_a_feed_without_shuffle_gives_rows_in_order() -> None:
    part = split(digits()).train
    made = feed(part, batch_size=100, shuffle=False)
    for first in (0, 3):
        batches = _take(made.epochs(first), made.steps_per_epoch)
        assert np.array_equal(np.concatenate([x for x, _ in batches]), part.arrays()[0])


def test_keras_trains_and_evaluates_alike_on_both_feeds() -> None:
    import keras

    splits = split(digits())
    results = []
    for kind in ("numpy", "tfdata"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        train = feed(splits.train, kind=kind, batch_size=64, class_weight={3: 2.0})  # type: ignore[arg-type]
        validation, test = (feed(part, kind=kind, batch_size=50) for part in (splits.validation, splits.test))  # type: ignore[arg-type]
        history = model.fit(
            train.epochs(),
            steps_per_epoch=train.steps_per_epoch,
            epochs=3,
            shuffle=False,
            verbose=0,
            validation_data=validation.once(),
        )
        results.append((history.history, model.evaluate(test.once(), verbose=0), model.predict(test.once(), verbose=0)))
    (history, tested, predicted), (other_history, other_tested, other_predicted) = results
    assert len(history["val_loss"]) == 3
    assert history == other_history
    assert tested == other_tested
    assert len(predicted) == len(splits.test)  # type: ignore[arg-type]
    assert np.array_equal(predicted, other_predicted)


def test_a_feed_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "a.tfrecord", np.zeros((40, 2)), np.arange(40) % 2)
    capfd.readouterr()
    for data in (arrays(np.zeros((40, 2)), np.arange(40) % 2), tfrecord(str(tmp_path / "a.tfrecord"))):
        part = split(data).train
        _take(feed(part, kind="tfdata", batch_size=8).epochs(), 10)
        _take(feed(part, kind="tfdata", batch_size=8).once())
    assert capfd.readouterr() == ("", "")


def _small(y: object = None) -> Part:
    return split(arrays(np.zeros((12, 1)), np.arange(12) % 2 if y is None else y), test=0, validation=0).train  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["numpy", "tfdata"])
def test_a_batch_larger_than_the_part_is_all_of_it(kind: Any) -> None:
    made = feed(_small(), kind=kind, batch_size=32, epochs=2)
    assert made.steps_per_epoch == 1
    assert [sorted(batch[1].tolist()) for batch in _take(made.epochs())] == [[0] * 6 + [1] * 6] * 2
    assert [len(batch[0]) for batch in _take(made.once())] == [12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "tf_data", "batch_size": 2}, "data.feed: there is no feed 'tf_data'; did you mean 'tfdata'?"),
        ({"batch_size": 0}, "trainer.batch_size: must be a positive integer, got 0"),
        ({"batch_size": 2, "steps_per_epoch": -1}, "trainer.steps_per_epoch: must be a positive integer, got -1"),
        ({"batch_size": 2, "class_weight": {"7": 1}}, "trainer.class_weight: there is no class '7'; there are: 0, 1"),
    ],
)
def test_feed_refuses_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        feed(_small(), **options)


def test_the_numpy_feed_needs_no_tensorflow() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom kexp.data import feed, split\nfrom kexp.data.sources.builtin import iris\n"
        "next(feed(split(iris()).train, batch_size=8).epochs())\n"
        "sys.exit(int(bool({'tensorflow', 'keras', 'jax'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
