"""Programs of an earlier process are taken up without tracing, to the same bits; damaged ones are made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import made
import pytest
from test_engine import RICH

from kexp.fused.structure.trace_cache import cache_file
from kexp.system.cache_limit import KEPT_FILE_BYTES

PROGRAM = """
import hashlib, json, sys
import made
from kexp import fused
from kexp.training.process.compiled_programs import cache_folder
from kexp.fused.functional.lane_functions import LaneFunctions

def results():
    each = [(*{rich!r}, f"seed={{seed}}", f"optimizer.learning_rate={{0.001 * (seed + 1)}}") for seed in range(3)]
    trials, found = made.trials(*each), {{}}
    for result in fused.run_trials(trials, planned=fused.plan(trials)):
        assert result.status == "finished", result.reason
        bits = b"".join(values.tobytes() for values in (*result.state.trainable, *result.state.optimizer))
        found[result.trial.key] = [result.history.epochs, result.test, hashlib.sha256(bits).hexdigest()]
    return [found[key] for key in sorted(found)]

def refuse(*_, **__):
    raise AssertionError("a step was traced")

if sys.argv[1:]:
    step, LaneFunctions.train_step = LaneFunctions.train_step, refuse
print(json.dumps(results()))
if sys.argv[1:]:
    LaneFunctions.train_step = step
    damaged = [*cache_folder().glob("*.program"), *cache_folder().glob("*.known")]
    assert len(damaged) > 3
    for number, file in enumerate(damaged):
        file.write_bytes(file.read_bytes()[:100] if number % 2 else b"")
    print(json.dumps(results()))
"""


def ran(cache: Path, *arguments: str) -> list[Any]:
    environment = {**os.environ, "KEXP_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)  # programs are kept beside JAX's files in kexp's folder alone
    command = [sys.executable, "-c", PROGRAM.format(rich=RICH), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_kept_programs_give_the_same_bits_and_damaged_ones_are_made_again(tmp_path: Path) -> None:
    """Also: programs that were not used for long, such as those of other versions, go where all exceed the limit."""
    old = tmp_path / "compiled" / "another-version"
    old.mkdir(parents=True)
    for name in ("small", "large"):
        (old / name).touch()
    os.truncate(old / "large", KEPT_FILE_BYTES)  # without blocks on the disk
    os.utime(old / "large", (0, 0))
    os.utime(old / "small", (1, 1))
    (cold,) = ran(tmp_path)
    assert [each.name for each in old.iterdir()] == ["small"]
    kept, again = ran(tmp_path, "kept")
    assert kept == cold
    assert again == cold


@pytest.mark.parametrize("own", ["loss=made_by_hand:crossentropy", "+callbacks.one={name: made_by_hand:Quiet}"])
def test_models_with_code_of_others_are_not_kept(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = """
        import keras
        def crossentropy(y_true, y_pred):
            return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        class Quiet(keras.callbacks.Callback):
            pass
    """
    (tmp_path / "made_by_hand.py").write_text("\n".join(line[8:] for line in module.splitlines()))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KEXP_CACHE", str(tmp_path))
    import jax

    from kexp.training.process.compiled_programs import cache_folder

    before = jax.config.jax_compilation_cache_dir
    cache_folder().mkdir(parents=True)
    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    try:
        assert cache_file("check", made.prepared(*made.BRIEF)) is not None
        assert cache_file("check", made.prepared(*made.BRIEF, own)) is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        sys.modules.pop("made_by_hand", None)


def test_programs_that_read_the_same_of_other_arguments_are_kept_apart(tmp_path: Path) -> None:
    """As the starts of two models may: what they do not read differs in shape, or in number."""
    program = """
import jax, jax.numpy as jnp
from kexp.fused.program.executables import compile_or_load
from kexp.fused.structure.trace_cache import trace_cache_folder
assert trace_cache_folder() is not None
kept = []
for turn in range(2):
    for unread in ([jnp.ones((3, 2))], [jnp.ones((5, 4))], [jnp.ones(3), jnp.ones(2)]):
        given = [jnp.ones(2), unread]
        run, file = compile_or_load(jax.jit(lambda read, unread: read + 1).lower(*given))
        assert run(*given).tolist() == [2, 2]
        kept.append(file)
assert kept[0] is not None and len({*kept} - {None}) == len([each for each in kept[:3] if each is not None])
"""
    environment = {**os.environ, "KEXP_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
