"""What an experiment comes to does not depend on the launcher: it ends as it does one trial after another."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from distributions import installed

from kexp.config import compose, plain
from kexp.errors import ConfigError
from kexp.sweeps.events import NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.auto import AutoLauncher
from kexp.sweeps.launch.fusing import FusedLauncher
from kexp.sweeps.launch.lanes.lane_runner import LaneGroup
from kexp.sweeps.launch.launchers import ProcessesLauncher, SerialLauncher
from kexp.sweeps.trials import Outcome, Task, Trial

BRIEF = ["trainer.epochs=3", "trainer.batch_size=16", "tracking=none", "save=none", "seed=3"]
LAUNCHERS = {"auto": AutoLauncher, "fused": FusedLauncher, "processes": ProcessesLauncher, "serial": SerialLauncher}
OWN = (
    "WeightNorm WarmRestarts AveragedWeights Snapshots Confusion OwnRule KeptKernel Described Patient Freezing "
    "GradientNorm LastResults OnlyInAFit Wrong Leaves Settings MissingMonitor Batches SwapsOptimizer printing"
).split()
CALLBACKS = [
    *(f"callbacks=[own_callbacks:{name}]" for name in OWN),
    "callbacks=[early_stopping,reduce_lr_on_plateau]",
    "callbacks=[early_stopping] callbacks.early_stopping.monitor=val_f1",
    "callbacks=[own_callbacks:WeightNorm,early_stopping]",
    "callbacks=[target_reached] callbacks.target_reached.target=0.4",
    "",
]
LOSSES = [
    "",
    "",
    "",
    "loss=poly_crossentropy loss.epsilon=0.5",
    *(f"loss=lane_parts:{name}" for name in ("sharper", "of_numpy", "of_tensorflow", "raises")),
]
METRICS = ["", "", "", "metrics=[accuracy,lane_parts:counting]", "metrics=[accuracy,lane_parts:raises]"]
METRICS += ["metrics=[accuracy,calibration_error]"]
MODELS = ["model.hidden=[8]", "model=linear", "model.hidden=[8] model.dropout=0.3", "model.batch_normalization=true"]
MODELS += ["model=lane_parts:remembering", "model=lane_parts:broken", "model.hidden=[8] activation=snake"]
MODELS += [
    "model=residual_mlp model.width=8 model.blocks=1",
    "model=sequential model.layers=[{name:GatedDense,units:5}]",
]
MODELS += ["model.hidden=[8] model.kernel_regularizer=group_lasso model.kernel_initializer=sparse_normal"]
DATA = ["data=iris", "data=iris", "data=random data.rows=90", "data=lane_parts:rows", "data=lane_parts:no_rows"]
DATA += ["data=two_moons data.rows=90"]
OPTIMIZERS = [
    "",
    "optimizer=sgd",
    "optimizer=lookahead",
    "optimizer.schedule=inverse_sqrt",
    "optimizer=sgd optimizer.learning_rate=1e30",
    "optimizer.schedule=cosine_decay",
]
TRAINERS = ["", "", "trainer.mixed_precision=true", "trainer.steps_per_epoch=2", "trainer.class_weight=balanced"]
CHOSEN = [
    "data=iris callbacks=[own_callbacks:WeightNorm]",
    "data=iris callbacks=[own_callbacks:Freezing]",
    "data=iris callbacks=[own_callbacks:Wrong]",
    "data=lane_parts:rows callbacks=[own_callbacks:Leaves]",
    "data=iris loss=lane_parts:sharper",
    "data=iris loss=lane_parts:raises",
    "data=iris loss=lane_parts:of_tensorflow",
    "data=lane_parts:no_rows",
    "data=iris optimizer=sgd optimizer.learning_rate=1e30",
    "data=iris callbacks=[their_WeightNorm]",
    "data=two_moons data.rows=90 optimizer=lookahead loss=their_sharper callbacks=[target_reached]",
]
# The modules' parts once more, as an installed package has them.
_IN_PACKAGE = re.compile(r"(own_callbacks|lane_parts):")
_PARTS = {
    "callbacks": ("own_callbacks", (*OWN, "Gone")),
    "loss": ("lane_parts", ("sharper", "of_numpy", "of_tensorflow", "raises")),
    "metrics": ("lane_parts", ("counting", "raises")),
    "model": ("lane_parts", ("remembering", "broken")),
    "data": ("lane_parts", ("rows", "no_rows")),
}


@pytest.fixture(autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installed package of the modules' parts, each by its name after `their_`."""
    entries = {
        f"kexp.{group}": {f"their_{name}": f"{module}:{name}" for name in names}
        for group, (module, names) in _PARTS.items()
    }
    with installed(tmp_path_factory.mktemp("site") / "at", "their-parts", {}, entries):
        yield


def generated(seed: int, count: int) -> list[str]:
    """Experiments of components, callbacks, data and settings drawn at random; by reference, or of the package."""
    drawn = random.Random(seed)
    kinds = (DATA, MODELS, LOSSES, METRICS, CALLBACKS, OPTIMIZERS, TRAINERS)
    found = [" ".join(filter(None, map(drawn.choice, kinds))) for _ in range(count)]
    return [_IN_PACKAGE.sub("their_", each) if drawn.random() < 0.5 else each for each in found]


def ends(launcher: str, experiments: Sequence[str], folder: Path) -> dict[str, tuple[str, str]]:
    """How each experiment ends: its state and the reason."""
    made: Any = LAUNCHERS[launcher]()
    tasks, found = [], {}
    for number, words in enumerate(experiments):
        overrides = (*BRIEF, *words.split())
        try:
            config = plain(compose(list(overrides)))
            adapted = made.adapt(config, overrides) if hasattr(made, "adapt") else config
        except ConfigError as error:
            found[words] = ("INVALID", str(error))
            continue
        ordinary = config if adapted != config else None
        place = str(folder / launcher / str(number))
        tasks.append(Task(number, adapted, overrides, place, words, checkpoint=f"{place}-left", ordinary=ordinary))

    class Ends(NoEvents):
        def on_end(self, outcome: Outcome) -> bool:
            reason = re.sub(r"(loss became).*", r"\1", outcome.reason)  # at which step, and what, is rounding's
            found[experiments[outcome.number]] = (outcome.state, reason)
            return True

    made.run_tasks(Feed(tasks), Ends())
    assert set(found) == set(experiments)
    return found


@pytest.fixture
def epsilon() -> Any:
    """A callback that changes Keras' settings does so to this process, where trials run one after another."""
    import keras

    before = keras.config.epsilon()
    yield
    keras.config.set_epsilon(before)


def test_a_trial_ends_as_it_does_one_after_another(workplace: Path, epsilon: None) -> None:
    expected = ends("serial", CHOSEN, workplace)
    assert len({state for state, _ in expected.values()}) == 3
    assert ends("auto", CHOSEN, workplace) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_generated_experiments_end_alike_on_every_launcher(seed: int, workplace: Path, epsilon: None) -> None:
    experiments = list(dict.fromkeys(generated(seed, 30)))
    expected = ends("serial", experiments, workplace)
    for launcher in ("auto", "fused", "processes"):
        assert ends(launcher, experiments, workplace) == expected


def test_a_plan_says_what_is_learnt_only_at_run_time() -> None:
    fused = FusedLauncher()
    fused.groups["one"] = LaneGroup(0, 4, "the only structure")
    keras_own = {"callbacks": {"early_stopping": {"name": "early_stopping"}, "off": None}}
    own = {"callbacks": {"own": {"name": "own_callbacks:WeightNorm"}}}
    assert fused.unsure([Trial(0, (), keras_own)]) == []
    (line,) = fused.unsure([Trial(0, (), keras_own), Trial(1, (), own)])
    assert "asks for what a lane does not have runs again in a worker process" in line


def test_a_process_that_a_callback_ends_costs_no_other_trial(workplace: Path) -> None:
    well = [f"data=iris callbacks=[own_callbacks:WeightNorm] seed={seed}" for seed in range(6)]
    guilty = "data=iris callbacks=[own_callbacks:Gone]"
    found = ends("fused", [*well[:3], guilty, *well[3:]], workplace)
    assert found.pop(guilty) == ("FAILED", "its process ended with exit code 5")
    assert set(found.values()) == {("FINISHED", "")}
