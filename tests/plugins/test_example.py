"""The example package, a real installed distribution, from the command line and from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kexp
from kexp import registry
from kexp.cli import main

COMPONENTS = {
    "optimizer": ["lookahead"],
    "schedule": ["inverse_sqrt"],
    "loss": ["poly_crossentropy", "quantile_loss"],
    "metrics": ["calibration_error"],
    "activation": ["snake"],
    "layer": ["GatedDense"],
    "model": ["residual_mlp"],
    "data": ["two_moons"],
    "callbacks": ["target_reached"],
    "initializer": ["sparse_normal"],
    "regularizer": ["group_lasso"],
    "format": ["npz"],
}
QUIET = ["tracking=none", "trainer.verbose=0"]


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command line prints; it must end well."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    return captured.out


@pytest.mark.parametrize("group", COMPONENTS)
def test_components_lists_the_package_s_with_its_version(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [line.split() for line in cli(capsys, "components", group).splitlines()]
    theirs = {words[0] for words in listed if words[1:3] == ["kexp-example", "0.1.0"]}
    assert theirs == set(COMPONENTS[group])


def test_components_of_the_package_show_without_importing_keras() -> None:
    """The pattern that it teaches: factories that import Keras when they are called."""
    script = (
        "import sys; from kexp import registry\n"
        "assert all(c.problem() is None for _, c in registry.components() if c.distribution == 'kexp-example')\n"
        "assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_show_has_parameters_ranges_in_words_and_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    shown = cli(capsys, "show", "optimizer", "lookahead")
    assert "kexp-example 0.1.0" in shown
    assert "fast steps between two slow ones; >= 1." in shown
    assert "Zhang, Lucas, Hinton and Ba (2019)" in shown


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (["optimizer=lookahead", "optimizer.k=0"], "optimizer.k: must be at least 1, got 0"),
        (["optimizer=lookahead", "optimizer.kk=2"], "did you mean 'k'?"),
        (["loss=quantile_loss", "loss.quantile=1.0"], "loss.quantile: must be greater than 0 and less than 1, got 1.0"),
        (["loss=quantile_loss"], "loss: quantile_loss is for a regression, but the data is a classification"),
        (["optimizer=lokahead"], "did you mean 'lookahead'?"),
    ],
)
def test_a_plugin_s_parameters_are_held_to_its_annotations(
    override: list[str], sentence: str, capsys: pytest.CaptureFixture[str], workplace: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*override, *QUIET])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_one_run_of_many_plugins_is_tracked_and_loads_in_another_process(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Optimizer, schedule, loss, metric, activation, model, callback and format together, on the digits."""
    overrides = [
        *["optimizer=lookahead", "optimizer.learning_rate=0.05", "schedule=inverse_sqrt"],
        *["optimizer.schedule.warmup_steps=20", "loss=poly_crossentropy", "metrics=[accuracy,calibration_error]"],
        *["activation=snake", "activation.alpha=0.5", "model=residual_mlp", "model.blocks=1"],
        *["callbacks=[target_reached]", "callbacks.target_reached.target=0.9", "trainer.epochs=8"],
        *["save.formats=[h5,weights,json,keras,npz]", "trainer.verbose=0"],
    ]
    cli(capsys, *overrides)
    model = kexp.load_model("latest", format="npz")
    assert model.optimizer.k == 5
    assert model.optimizer.learning_rate.dtype == "float32"
    # A process that has imported nothing of the package: the run's config says what the model needs of it.
    script = (
        "import kexp, numpy as np; print(float(np.abs(kexp.load_model('latest', format={!r})(np.ones((2, 64)))).sum()))"
    )
    expected = float(np.abs(np.asarray(model(np.ones((2, 64))))).sum())
    done = subprocess.run(
        [sys.executable, "-c", script.format("h5")], capture_output=True, text=True, check=False, cwd=workplace
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) == pytest.approx(expected, abs=1e-5)


def test_nested_components_of_plugins_build_train_and_save(workplace: Path) -> None:
    """A plugin's initializer, regularizer and activation inside its own layer and inside Keras' Dense."""
    gated = (
        "{name: GatedDense, units: 8, activation: {name: snake, alpha: 2.0}, "
        "kernel_initializer: {name: sparse_normal, connections: 1}, kernel_regularizer: group_lasso}"
    )
    dense = "{name: Dense, units: 4, kernel_initializer: sparse_normal, activation: {name: snake, alpha: 3.0}}"
    result = kexp.run(
        [*QUIET, "data=two_moons", "model=sequential", f"model.layers=[{gated},{dense}]", "trainer.epochs=1"],
        folder=workplace / "run",
    )
    gate, second = result.model.layers[0], result.model.layers[1]
    assert gate.activation.parameters == {"alpha": 2.0}
    assert gate.kernel_regularizer.strength == 0.001
    assert second.activation.parameters == {"alpha": 3.0}
    assert len(result.saved) == 3


def test_a_component_by_reference_equals_the_registered_one(workplace: Path) -> None:
    histories = [
        kexp.run([*QUIET, f"optimizer={name}", "trainer.epochs=1", "save.formats=[]"], folder=workplace / str(number))
        for number, name in enumerate(["lookahead", "kexp_example.optimizer:lookahead"])
    ]
    assert histories[0].history.columns() == histories[1].history.columns()


def test_lookahead_follows_its_paper() -> None:
    """k fast steps of SGD, then slow <- slow + alpha (fast - slow), fast <- slow, on a quadratic."""
    import keras

    from kexp.build import build_optimizer
    from kexp.schema import component_node

    rate, k, alpha = 0.1, 3, 0.4
    node = component_node(
        "optimizer",
        {"name": "lookahead", "learning_rate": rate, "momentum": 0.0, "k": k, "alpha": alpha},
        "optimizer",
    )
    optimizer = build_optimizer(node, 10)
    start = np.random.default_rng().normal(size=4).astype(np.float32)
    variable = keras.Variable(start)
    fast, slow = start.copy(), start.copy()
    for step in range(1, 8):
        optimizer.apply([keras.ops.convert_to_tensor(2.0 * variable)], [variable])
        fast = fast - rate * 2.0 * fast
        if step % k == 0:
            slow = slow + alpha * (fast - slow)
            fast = slow
        np.testing.assert_allclose(np.asarray(variable), fast, rtol=1e-5, atol=1e-6)


def test_calibration_error_equals_its_formula() -> None:
    from kexp.build import build_metrics
    from kexp.schema import component_node

    rng = np.random.default_rng()
    bins, rows = 7, 200
    scores = rng.random((rows, 3)).astype(np.float32)
    y_pred, y_true = scores / scores.sum(1, keepdims=True), rng.integers(0, 3, rows)
    node = component_node("metrics", {"name": "calibration_error", "bins": bins}, "metrics.mine")
    (metric,) = build_metrics({"mine": node})
    for part in (slice(0, 70), slice(70, rows)):
        metric.update_state(y_true[part], y_pred[part])
    confidence, hit = y_pred.max(1), y_pred.argmax(1) == y_true
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    expected = sum(abs((hit[place == b] - confidence[place == b]).sum()) for b in range(bins)) / rows
    assert metric.name == "mine"
    assert float(metric.result()) == pytest.approx(expected, abs=1e-5)


def test_registry_knows_the_package_by_metadata_alone() -> None:
    found = registry.find("format", "npz")
    assert (found.distribution, found.version, found.target) == ("kexp-example", "0.1.0", "kexp_example.format:npz")
