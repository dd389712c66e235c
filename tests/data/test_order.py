from __future__ import annotations

import numpy as np

from kexp.data import epoch_order


def test_epoch_order_is_the_permutation_that_its_documentation_states(random: np.random.Generator) -> None:
    n, seed, epoch = (int(random.integers(1, 5000)) for _ in range(3))
    key = np.array([seed, epoch], dtype=np.uint64)
    expected = np.random.Generator(np.random.Philox(key=key)).permutation(n)
    assert np.array_equal(epoch_order(n, seed, epoch), expected)
    assert np.array_equal(np.sort(epoch_order(n, seed, epoch)), np.arange(n))


def test_epoch_order_differs_between_epochs_and_seeds() -> None:
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


def test_epoch_order_without_shuffle_is_row_order() -> None:
    assert np.array_equal(epoch_order(7, 3, 9, shuffle=False), np.arange(7))


def test_epoch_order_takes_negative_seeds() -> None:
    assert np.array_equal(np.sort(epoch_order(9, -1, 0)), np.arange(9))


def test_epoch_order_puts_every_row_in_every_place_equally_often() -> None:
    n, epochs = 5, 4000
    places = np.stack([epoch_order(n, 0, epoch) for epoch in range(epochs)])
    counts = np.stack([np.bincount(column, minlength=n) for column in places.T])
    expected = epochs / n
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)
