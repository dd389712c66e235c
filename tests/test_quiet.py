"""A run says nothing of what TensorFlow, XLA, absl or CUDA say; what the user's own code prints is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real_process

MODULES = {
    "at_the_top": "import keras\nsoft = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)\n",
    "all_of_it": """
        from tensorflow import keras
        from tensorflow.keras.losses import *
        class Mine(Loss):
            def call(self, y, p):
                return keras.ops.mean(keras.ops.square(y - p), -1)
        """,
    "by_tensorflow": """
        import sys
        import tensorflow as tf
        print("to out"), print("to err", file=sys.stderr)
        def mine(t, p):
            return tf.reduce_mean(tf.square(t - p), axis=-1)
        """,
    "inside": """
        def mine(t, p):
            import keras
            return keras.ops.mean(keras.ops.square(t - p), axis=-1)
        """,
}


@pytest.mark.parametrize(
    ("words", "out", "err"),
    [
        (["loss=at_the_top:soft"], "", ""),
        (["loss=by_tensorflow:mine"], "to out\n", "to err\n"),
        (["loss=all_of_it:Mine", "backend=jax"], "", ""),
        (["loss=at_the_top:soft", "--config-dir", "presets", "experiment=on_jax"], "", ""),
        (["loss=inside:mine", "data.feed=tfdata", "backend=jax"], "", ""),
        (["show", "loss", "all_of_it:Mine"], None, ""),
    ],
)
def test_nothing_is_written_but_what_the_user_s_code_writes(
    words: list[str], out: str | None, err: str, workplace: Path
) -> None:
    import textwrap

    for name, text in MODULES.items():
        (workplace / f"{name}.py").write_text(textwrap.dedent(text))
    preset = workplace / "presets" / "experiment" / "on_jax.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\nbackend: jax\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_", "ABSL_", "GLOG_"))}
    environment["TF_CPP_MIN_LOG_LEVEL"] = ""  # set and empty says nothing of a level
    small = ["data=iris", "trainer.epochs=1", "trainer.verbose=0", "tracking=none", "save=none"]
    command = [sys.executable, "-m", "kexp", *words, *(small if words[0] != "show" else [])]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=200, cwd=workplace, env=environment
    )
    assert (done.returncode, done.stderr) == (0, err)
    assert out is None or done.stdout == out


def test_warnings_that_concern_the_user_are_notices() -> None:
    import warnings

    from kexp.system.quiet import warnings_as_notices

    about = "requested in {} is not available, and will be truncated to dtype int32."  # as JAX words it
    notices: list[str] = []
    with warnings_as_notices(notices.append):
        warnings.warn(f"Explicitly requested dtype int64 {about.format('ShapeDtypeStruct')}", stacklevel=1)
        warnings.warn(f"Explicitly requested dtype int64 {about.format('asarray')}", stacklevel=1)
        warnings.warn("a developer's", DeprecationWarning, stacklevel=1)
    assert notices == [f"Explicitly requested dtype int64 {about.format('asarray')}"]
