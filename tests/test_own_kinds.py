"""Custom losses, metrics, layers, callbacks, schedules and optimizers as people write them, against plain Keras."""

from __future__ import annotations

from pathlib import Path

import own_kind_rows as rows
import pytest

import kexp


@pytest.mark.parametrize(
    "name",
    [
        *rows.QUICK,
        *rows.HABITS,
        *(pytest.param(name, marks=pytest.mark.slow) for name in [*rows.SLOW, *rows.TENSORFLOW]),
    ],
)
def test_it_trains_as_in_plain_keras_and_is_saved(name: str, workplace: Path) -> None:
    import keras
    import numpy as np

    from kexp.experiment import prepare
    from kexp.experiment.compiled import build_compiled

    result = kexp.run([*rows.SMALL, *rows.overrides(name)])
    assert (result.folder / "saved" / "model.weights.h5").is_file()
    prepared = prepare(result.experiment)
    plain = rows.plain(name)
    model = keras.Sequential(build_compiled(prepared).layers)  # with the same initial weights
    model.compile(
        plain.get("optimizer", "adam"),
        plain.get("loss", "sparse_categorical_crossentropy"),
        metrics=plain.get("metrics"),
    )
    part = prepared.splits.train
    x, y = part.batch(np.arange(len(part), dtype=np.intp))
    history = model.fit(
        x, y, batch_size=32, epochs=2, shuffle=False, verbose=0, callbacks=plain.get("callbacks")
    ).history
    got = result.history.columns()
    if "metrics" in plain:
        (measured,) = result.experiment.metrics
        keras_name = model.metrics[-1].metrics[0].name
        history = {measured if key == keras_name else key: values for key, values in history.items()}
        assert len(history) > 1
    for key, values in history.items():
        np.testing.assert_allclose(got[key], values, rtol=2e-5, err_msg=key)
    for ours, theirs in zip(result.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
