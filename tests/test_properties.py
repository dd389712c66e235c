"""What holds of every value, not of an example: hypothesis looks for one of which it does not."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kexp.config import compose, plain, prepare_overrides
from kexp.data.inference import arrays
from kexp.data.splitting.cuts import cut, folds_of
from kexp.data.splitting.order import epoch_order, split_generator
from kexp.errors import ConfigError
from kexp.fingerprint import fingerprint
from kexp.rules import Range, check_value
from kexp.schema import check
from kexp.sweeps.plan.axes import expand, parse
from kexp.tracking.values import flatten, param_value

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30)
# Of which Hydra makes something else than text, or which begin one of its own forms.
SIGNS = set("'\"[]{}(),\\$=")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), WORDS
)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)


@QUICK
@given(WORDS)
def test_a_text_is_taken_as_itself_or_refused_in_one_sentence(text: str) -> None:
    try:
        (override,) = prepare_overrides([f"name={text}"])
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    value = OverridesParser.create().parse_override(override).value()
    if text.strip() == text and text and not SIGNS & set(text) and isinstance(value, str) and value != "???":
        assert value == text


@QUICK
@given(st.lists(st.sampled_from(["sgd", "adam", "nadam"]), min_size=1, max_size=3, unique=True), st.integers(1, 4))
def test_a_sweep_is_the_product_of_its_axes(optimizers: list[str], seeds: int) -> None:
    trials = expand(parse([f"optimizer={','.join(optimizers)}", f"seed=range({seeds})"]))
    expected = itertools.product(optimizers, range(seeds))
    assert trials == [(f"optimizer={optimizer}", f"seed={seed}") for optimizer, seed in expected]


@QUICK
@given(st.floats(allow_nan=True), st.floats(-10, 10), st.floats(0, 10))
def test_a_range_lets_pass_what_lies_in_it_and_nothing_else(value: float, low: float, width: float) -> None:
    from typing import Annotated

    inside = low <= value < low + width  # NaN lies nowhere
    try:
        check_value("key", value, Annotated[float, Range(ge=low, lt=low + width)])
    except ConfigError as error:
        assert not inside
        assert str(error).startswith("key: must be ")
    else:
        assert inside


@QUICK
@given(st.integers(0, 400), st.integers(0, 2**64), st.integers(0, 1000))
def test_an_epoch_takes_each_row_once_in_an_order_of_its_own(rows: int, seed: int, epoch: int) -> None:
    order = epoch_order(rows, seed, epoch)
    assert sorted(order) == list(range(rows))
    assert np.array_equal(order, epoch_order(rows, seed, epoch))
    if rows > 30:
        assert not np.array_equal(order, epoch_order(rows, seed, epoch + 1))


@QUICK
@given(st.lists(st.integers(0, 3), min_size=12, max_size=120), st.floats(0.05, 0.6), st.integers(0, 2**32))
def test_a_part_is_cut_off_in_the_classes_proportions(classes: list[int], fraction: float, seed: int) -> None:
    labels = np.array(classes)
    assume(len(np.unique(labels)) > 1)
    data = arrays(np.zeros((len(labels), 1), np.float32), labels)
    rows = np.arange(len(labels))
    kept, taken = cut(data, rows, fraction, split_generator(seed), by="random", name="test", key="data.test_split")
    assert sorted([*kept, *taken]) == list(rows)
    counts = np.unique(labels, return_counts=True)[1]  # of a class of two and more, one row goes and one stays
    wanted = math.floor(len(rows) * fraction + 0.5)
    assert len(taken) == np.clip(wanted, np.minimum(1, counts - 1).sum(), (counts - 1).sum())
    for label, count in zip(np.unique(labels), counts, strict=True):
        assert abs((labels[taken] == label).sum() - fraction * count) <= 1.5


@QUICK
@given(st.lists(st.integers(0, 2), min_size=20, max_size=90), st.integers(2, 5), st.integers(0, 2**32))
def test_folds_share_out_rows_and_classes_evenly(classes: list[int], count: int, seed: int) -> None:
    labels = np.array(classes)
    assume(len(np.unique(labels)) > 1 and min(np.unique(labels, return_counts=True)[1]) >= count)
    data = arrays(np.zeros((len(labels), 1), np.float32), labels)
    folds = folds_of(data, np.arange(len(labels)), count, split_generator(seed), by="random")
    for rows in (np.ones(len(labels), bool), *(labels == label for label in np.unique(labels))):
        sizes = np.bincount(folds[rows], minlength=count)
        assert sizes.max() - sizes.min() <= 1


@QUICK
@given(st.dictionaries(WORDS, NESTED, max_size=4))
def test_flattening_a_config_loses_nothing(config: dict[str, Any]) -> None:
    def leaves(value: Any) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) and value else 1

    flat = flatten(config)
    assume(len(flat) == (leaves(config) if config else 0))  # keys with dots may meet
    assert not any(isinstance(value, dict) and value for value in flat.values())


@QUICK
@given(NESTED)
def test_equal_values_give_equal_parameters(value: Any) -> None:
    import copy

    assert param_value(value) == param_value(copy.deepcopy(value))


BASE = plain(compose(["data=iris", "loss=categorical_crossentropy", "metrics=[accuracy]", "optimizer=sgd"]))


@QUICK
@given(st.floats(1e-6, 1.0), st.integers(1, 500), st.integers(0, 2**40))
def test_a_fingerprint_tells_experiments_apart_and_knows_no_order(rate: float, epochs: int, seed: int) -> None:
    def config(rate: float, epochs: int, seed: int, turned: bool = False) -> dict[str, Any]:
        made = {
            **BASE,
            "seed": seed,
            "optimizer": {**BASE["optimizer"], "learning_rate": rate},
            "trainer": {**BASE["trainer"], "epochs": epochs},
        }
        return {key: made[key] for key in reversed(made)} if turned else made

    def digest(*numbers: Any) -> str:
        return fingerprint(check(config(*numbers)), "data")

    mine = digest(rate, epochs, seed)
    assert digest(rate, epochs, seed, True) == mine
    assert (
        len({mine, digest(rate / 2, epochs, seed), digest(rate, epochs + 1, seed), digest(rate, epochs, seed + 1)}) == 4
    )


@pytest.mark.parametrize("key", ["verbose", "checkpoint_seconds"])
def test_what_cannot_change_a_result_is_no_part_of_the_fingerprint(key: str) -> None:
    other = {**BASE, "trainer": {**BASE["trainer"], key: 2}}
    assert fingerprint(check(other), "data") == fingerprint(check(BASE), "data")
