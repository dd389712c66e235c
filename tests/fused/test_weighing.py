"""What `hydra/launcher=auto` may have compiled before it has chosen."""

from __future__ import annotations

import pytest

from kexp.config import compose, plain
from kexp.experiment import prepare
from kexp.schema import check
from kexp.sweeps.trials import Task
from kexp.sweeps.weighing import Scales, Share, Weigh

KEEPS = "+callbacks.kept={name: model_checkpoint, filepath: best.keras}"


@pytest.mark.parametrize(
    ("arguments", "epochs", "clear"),
    [
        (["model=cnn", "model.filters=[2]"], 2, True),
        (["model=cnn", "model.filters=[2]", KEEPS], 2, False),  # it cannot be a lane
        (["model=cnn", "model.filters=[256,256]"], 100, False),
    ],
)
def test_programs_are_compiled_before_the_choice_only_where_lanes_win_clearly(
    arguments: list[str], epochs: int, clear: bool
) -> None:
    config = plain(compose(["backend=jax", *arguments]))
    asked = Weigh([Share(Task(0, config, (), "", ""), 1, epochs)], workers=2, threads=2, log="")
    assert Scales(lambda task: prepare(check(task.config))).clear(asked) is clear
