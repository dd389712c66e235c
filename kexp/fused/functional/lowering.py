"""Maps a function of one lane over the lanes of a program, on all local devices, and lowers it for compilation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["compile_fast", "device_count", "lower_lanes", "put_on_devices"]


def device_count(width: int | None = None) -> int:
    """Returns how many devices the lanes of a program are split among: the most that get equal numbers of lanes.

    Args:
        width: number of lanes; None for the number of local devices.
    """
    import jax

    count: int = jax.local_device_count()
    if width is None:
        return count
    return max(each for each in range(1, count + 1) if width % each == 0)


def lower_lanes(
    function: Callable[..., Any], width: int, arguments: Sequence[Any], *, shared: int = 0, donate: Any = ()
) -> Any:
    """Maps a function over lanes, and lowers it.

    Each device runs its own lanes, and devices exchange no numbers. The compiler still rounds differently for several
    devices than for one, so the last bits of a result depend on the number of devices as well as on the width.

    On a CPU, lanes that call LAPACK (an optimizer that decomposes matrices does) run one after the other. jaxlib splits
    a batch of matrices among the threads of the pool whose threads also wait for the result; with two such calls at
    once, all threads may wait and none is left to do the work.

    Args:
        function: a function of one lane.
        width: number of lanes.
        arguments: shapes and dtypes, nested; those that differ between lanes have a leading axis of `width`.
        shared: how many of the last arguments are the same for all lanes.
        donate: positions of the arguments whose memory the program may reuse.

    Returns:
        The lowered function, a `jax.stages.Lowered`.
    """
    import jax

    own = len(arguments) - shared

    def sequential(*given: Any) -> Any:
        return jax.lax.map(lambda lane: function(*lane, *given[own:]), given[:own])

    axes = (0,) * own + (None,) * shared
    lowered = _lowered(jax.vmap(function, in_axes=axes), width, arguments, axes, donate)
    if jax.default_backend() == "cpu" and "@lapack_" in lowered.as_text():
        return _lowered(sequential, width, arguments, axes, donate)
    return lowered


def _lowered(
    mapped: Callable[..., Any], width: int, arguments: Sequence[Any], axes: Sequence[int | None], donate: Any
) -> Any:
    """Lowers a function of all lanes, sharded over `device_count(width)` devices."""
    import jax
    from jax.sharding import PartitionSpec

    if device_count(width) == 1:
        return jax.jit(mapped, donate_argnums=donate).lower(*arguments)
    mesh = _mesh(width)
    split, whole = PartitionSpec("lanes"), PartitionSpec()
    specs = tuple(whole if axis is None else split for axis in axes)
    # Without `check_vma=False`, JAX refuses a loop whose state is the same for all lanes only at its start.
    mapped = jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    placed = tuple(jax.sharding.NamedSharding(mesh, spec) for spec in specs)
    result = jax.sharding.NamedSharding(mesh, split)
    return jax.jit(mapped, donate_argnums=donate, in_shardings=placed, out_shardings=result).lower(*arguments)


def compile_fast(lowered: Any, level: int) -> Any:
    """Compiles a program that runs seldom. On a CPU this takes a third of the time, and the program runs slower.

    Args:
        lowered: a `jax.stages.Lowered`.
        level: XLA's optimization level: 0 for a program that runs once or twice, 1 for one that runs now and then.

    Returns:
        The compiled program, a `jax.stages.Compiled`.
    """
    import jax

    options = {"xla_backend_optimization_level": level, "xla_llvm_disable_expensive_passes": not level}
    return lowered.compile(compiler_options=options if jax.default_backend() == "cpu" else None)


def put_on_devices(values: Any, width: int, *, split: bool = False) -> Any:
    """Copies arrays to the devices that run a program.

    Args:
        values: a pytree of arrays.
        width: number of lanes of the program.
        split: whether their leading axis is that of lanes, and each device gets its own lanes; else it gets all.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec

    if device_count(width) == 1:
        return jax.tree.map(jnp.asarray, values)
    return jax.device_put(values, NamedSharding(_mesh(width), PartitionSpec("lanes") if split else PartitionSpec()))


def _mesh(width: int) -> Any:
    """Returns the mesh of a program's devices, with one axis, `lanes`."""
    import jax
    import numpy as np

    return jax.sharding.Mesh(np.array(jax.local_devices()[: device_count(width)]), ("lanes",))
