"""`model=saved`: what a run takes over from an earlier one, held against the earlier run's files and plain Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kexp
from kexp.errors import ConfigError, KexpError
from kexp.experiment import Result, build_compiled, prepare
from kexp.schema import check
from kexp.stored import find

ROWS = (
    f"{'' if row % 13 == 0 else row % 7 + row % 2},{['red', 'blue', 'white'][row % 3]},{['daisy', 'rose'][row % 2]}"
    for row in range(60)
)
FLOWERS = "\n".join(["length,colour,kind", *ROWS]) + "\n"
QUIET = ["trainer.verbose=0", "tracking.figures=false", "save.model=false", "trainer.batch_size=8"]
TABLE = ["data=csv", "data.path=flowers.csv", "data.target=kind", "data.test_split=0.2"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of two epochs on a table, in a folder where the tests work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("beginning"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Path("flowers.csv").write_text(FLOWERS)
        Path("new_kinds.csv").write_text(
            FLOWERS.replace("daisy", "aster").replace("red", "green") + "3,blue,iris\n" * 20
        )
        options = [*QUIET, *TABLE, "model.hidden=[8,6]", "save.formats=[keras,h5]", "name=first"]
        yield kexp.run([*options, "trainer.epochs=2"], folder="outputs/first")


def begun(first: Result, *overrides: str, folder: str = "outputs/next") -> Result:
    options = [*QUIET, *TABLE, "model=saved", f"model.run={first.run_id[:8]}", "save.formats=[keras]", *overrides]
    return kexp.run(options, folder=folder)


def compiled(first: Result, *overrides: str) -> tuple[Any, keras.Model]:
    """The model that training begins with."""
    from kexp.config import compose, plain

    options = [*QUIET, *TABLE, "model=saved", f"model.run={first.run_id}", *overrides]
    prepared = prepare(check(plain(compose(options))))
    return prepared, build_compiled(prepared)


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {
        f"{layer.name}/{each.path.rpartition('/')[2]}": np.array(each)
        for layer in model.layers
        for each in layer.weights
    }


def test_training_begins_with_the_weights_that_the_run_saved(first: Result) -> None:
    prepared, model = compiled(first)
    theirs = weights(kexp.load_model(first.run_id))
    for name, value in weights(model).items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert all(layer.trainable for layer in model.layers)
    assert prepared.experiment.model.parameters["run"] == first.run_id
    assert (
        "model",
        f"begins with the weights of run {first.run_id[:8]} ({first.name}), trained for 2 epochs",
    ) in prepared.notices


def test_going_on_where_the_run_ended_is_one_training(first: Result) -> None:
    options = [*QUIET, *TABLE, "model.hidden=[8,6]", "trainer.epochs=4", "save.formats=[]"]
    whole = kexp.run(options, folder="outputs/whole")
    rest = begun(first, "trainer.initial_epoch=2", "trainer.epochs=4", folder="outputs/rest")
    assert [epoch for epoch, _ in rest.history.epochs] == [3, 4]
    for (_, there), (_, here) in zip(whole.history.epochs[2:], rest.history.epochs, strict=True):
        assert here == there
    for a, b in zip(whole.model.weights, rest.model.weights, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    assert find(rest.run_id).view.tags["kexp.begins_with"] == first.run_id


def test_frozen_layers_keep_their_weights_and_other_classes_get_a_new_output(first: Result) -> None:
    result = begun(first, "data.path=new_kinds.csv", "model.trainable=none", "trainer.epochs=2", folder="outputs/new")
    before, after = weights(first.model), weights(result.model)
    assert result.model.output_shape == (None, 3)
    assert result.model.layers[-1].name == "new_dense"
    kept = [name for name in after if not name.startswith("new_dense")]
    assert kept and set(kept) == set(before) - {name for name in before if name.startswith(first.model.layers[-1].name)}
    for name in kept:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    # The table is encoded as the run's was: green, which it did not know, is no category.
    noted = find(result.run_id)
    encoding = noted.json("data_encoding.json")
    assert encoding["columns"] == find(first.run_id).json("data_encoding.json")["columns"]
    assert encoding["classes"] == ["aster", "iris", "rose"]
    again = kexp.load_model(result.run_id)
    np.testing.assert_array_equal(weights(again)["new_dense/kernel"], after["new_dense/kernel"])
    assert [layer.trainable_weights for layer in again.layers[:-1]] == [[]] * (len(again.layers) - 1)


def test_which_layers_are_trained(first: Result) -> None:
    dense = [layer.name for layer in first.model.layers if isinstance(layer, keras.layers.Dense)]
    for trainable, expected in (("last:2", dense[1:]), (f"[{dense[0]}]", dense[:1]), ("all", dense)):
        _, model = compiled(first, f"model.trainable={trainable}")
        assert [layer.name for layer in model.layers if layer.trainable_weights] == expected


def test_a_graph_of_layers_gets_a_new_output_too(first: Result) -> None:
    from kexp.model import ModelSpec
    from kexp.stored.beginning import _replace_output

    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, name="new_dense")(inputs)
    output = keras.layers.Activation("softmax")(keras.layers.Dense(3)(keras.layers.add([hidden, hidden])))
    model = _replace_output(keras.Model(inputs, output), ModelSpec((4,), None, 2, "softmax"), "it")
    assert model.output_shape == (None, 2)
    assert [layer.name for layer in model.layers][-1] == "new_dense_1"
    assert np.allclose(model.predict(np.ones((3, 4)), verbose=0).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.run=ffff"], "model.run: there is no run 'ffff'"),
        (["model.trainable=last:0"], "model.trainable: must be all, none, last:N or names of layers, got 'last:0'"),
        (["model.trainable=[dens]"], "model.trainable: there is no layer with weights 'dens'"),
        (["model.trainable=none"], "model.trainable: must leave a layer to train, got 'none'"),
        (
            ["data.path=new_kinds.csv", "model.new_output=false"],
            "aster, iris, rose here, classification of daisy, rose",
        ),
        (["data.drop=[colour]"], "data.columns: must have 'colour', a feature of run"),
        (["trainer.mixed_precision=true"], "trainer.mixed_precision: must be as in run"),
        (["data=iris", "~data.path"], "model: takes rows of shape"),
    ],
)
def test_what_cannot_be_is_one_sentence(first: Result, overrides: list[str], said: str) -> None:
    if overrides[0].startswith("data=iris"):
        options = [*QUIET, "data=iris", "model=saved", f"model.run={first.run_id}"]
    else:
        options = [*QUIET, *TABLE, "model=saved", f"model.run={first.run_id}", *overrides]
    with pytest.raises(KexpError) as raised:
        kexp.run(options, folder="outputs/refused")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_sweep_wants_the_id_of_the_run(first: Result) -> None:
    from kexp.config import compose, plain
    from kexp.sweeps.plan.planning import PlanCache

    options = [*QUIET, *TABLE, "model=saved", "model.run=latest"]
    with pytest.raises(ConfigError, match=r"model\.run: must be a run's id in a sweep"):
        PlanCache().fingerprint(check(plain(compose(options))))


@pytest.mark.parametrize("prefix", ["80599579", "12e45678", "01234567"])
def test_a_runs_id_may_begin_like_a_number(first: Result, prefix: str) -> None:
    with pytest.raises(ConfigError, match=f"model.run: there is no run '{prefix}'"):
        kexp.run([*QUIET, *TABLE, "model=saved", f"model.run={prefix}"], folder="outputs/none")
