"""One seed, one beginning: a trial ends the same, to rounding, by whatever launcher, trainer and backend it ran."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kexp.cli import main
from kexp.tracking import RunView, StoreSettings, search

DATA = ("data=random", "data.rows=150", "data.features=6", "data.classes=3")
BRIEF = ("trainer.epochs=3", "trainer.batch_size=20", "save.keep=none", "save.model=false", "tracking.figures=false")
LAYERS = (
    "{name: Reshape, target_shape: [2, 3]}",
    "{name: LSTM, units: 6, return_sequences: true}",
    # A bias before a normalisation has a gradient of rounding alone, which Adam makes steps of.
    "{name: Conv1D, filters: 5, kernel_size: 2, use_bias: false, kernel_initializer: {name: random_normal}}",
    "{name: BatchNormalization}",
    "{name: PReLU, alpha_initializer: {name: random_uniform, minval: 0.1, maxval: 0.4}}",
    "{name: Flatten}",
    "{name: Dense, units: 4, kernel_initializer: {name: orthogonal, gain: 1.5}}",
)
MODELS = {
    "dense": ("model=mlp", "model.hidden=[8]", "model.kernel_initializer={name: he_normal}"),
    "layers": (
        "model=sequential",
        f"model.layers=[{', '.join(LAYERS)}]",
    ),
}
WAYS = {
    "serial on TensorFlow": ("hydra/launcher=serial",),
    "workers on TensorFlow": ("hydra/launcher=processes",),
    "workers on JAX": ("hydra/launcher=processes", "backend=jax"),
    "compiled": ("hydra/launcher=processes", "trainer=compiled"),
    "lanes": ("hydra/launcher=fused", "fused.strict=true"),
}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def newest(count: int) -> list[RunView]:
    """The last runs that were trained, in the order of their seeds."""
    views = [view for view in search(StoreSettings(), newest_first=True) if "val_loss" in view.metrics]
    return sorted(views[:count], key=lambda view: int(view.params["seed"]))


@pytest.mark.parametrize("model", ["dense", pytest.param("layers", marks=pytest.mark.slow)])
def test_a_trial_ends_the_same_by_every_launcher_trainer_and_backend(workplace: Path, model: str) -> None:
    ended = {}
    for way, chosen in WAYS.items():
        assert run("-m", *chosen, *DATA, *BRIEF, *MODELS[model], "seed=3,4") == 0
        ended[way] = [dict(view.metrics) for view in newest(2)]
    first = ended.pop("serial on TensorFlow")
    assert first[0]["val_loss"] != first[1]["val_loss"]
    for way, found in ended.items():
        for ours, theirs in zip(found, first, strict=True):
            for name in ("loss", "val_loss", "test_loss", "val_accuracy"):
                np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, err_msg=f"{way}: {name}")


def test_what_a_default_sweep_says_of_its_best_trial_is_what_a_run_of_it_says(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ("data=iris", *BRIEF)
    assert run("-m", *common, "seed=3", "optimizer.learning_rate=0.01,0.001") == 0
    printed = capfd.readouterr().out
    assert "trials as lanes" in printed
    best = next(line.split() for line in printed.splitlines() if line.split()[:1] == ["1"])
    assert run(*common, "seed=3", best[-1]) == 0
    (alone,) = newest(1)
    assert f"{alone.metrics['val_loss']:.5g}" == best[2]
