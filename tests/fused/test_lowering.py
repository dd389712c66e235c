"""Programs beside each other whose lanes call LAPACK: in a process of its own, as one that hangs cannot be stopped."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
import jax
import jax.numpy as jnp
import numpy as np
from kexp.fused.functional.lowering import lower_lanes

WIDTH, SIZE, CALLS = 4, 128, 8

def orthogonal(seed):
    normal = [jax.random.normal(key, (SIZE, SIZE)) for key in jax.random.split(jax.random.key(seed), CALLS)]
    return [jnp.linalg.qr(each)[0] for each in normal]

program = lower_lanes(orthogonal, WIDTH, [jax.ShapeDtypeStruct((WIDTH,), np.uint32)]).compile()
seeds = np.arange(WIDTH, dtype=np.uint32)
with ThreadPoolExecutor(2) as threads:
    calls = [threads.submit(lambda: jax.tree.map(np.asarray, program(seeds))) for _ in range(20)]
first, *others = [call.result() for call in calls]
for other in others:
    np.testing.assert_array_equal(first, other)
identity = np.broadcast_to(np.eye(SIZE), (CALLS, WIDTH, SIZE, SIZE))
np.testing.assert_allclose(np.swapaxes(first, -1, -2) @ np.array(first), identity, atol=1e-5)
"""


def test_lanes_that_call_lapack_in_two_threads_do_not_wait_for_each_other() -> None:
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}

    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
