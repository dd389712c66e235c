"""A function of one lane made one of all lanes of a program, over the devices that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["compile_fast", "device_count", "lower_lanes", "put_on_devices"]


def device_count(width: int | None = None) -> int:
    """How many devices the lanes of a program are split among: as many as get the same number of them each.

    Args:
        width: lanes of the program; any number of lanes unless given.
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

    Each device runs its own lanes and nothing else, and no number is sent from one to another. The compiler still
    rounds otherwise for several devices than for one, so that their number is part of a result's bits as the width is.

    Lanes that call LAPACK, as an optimizer that decomposes matrices does, take turns on a CPU: jaxlib shares a batch of
    matrices out among the threads that wait for it, and where all of them wait (two programs, or two such calls in one)
    none is left to do the work.

    Args:
        function: of one lane.
        width: how many lanes.
        arguments: shapes and types, those of lanes with a leading axis of `width`.
        shared: so many of the last arguments are the same for all lanes.
        donate: positions of arguments that are given away.
    """
    import jax

    own = len(arguments) - shared

    def in_turn(*given: Any) -> Any:
        return jax.lax.map(lambda lane: function(*lane, *given[own:]), given[:own])

    axes = (0,) * own + (None,) * shared
    lowered = _lowered(jax.vmap(function, in_axes=axes), width, arguments, axes, donate)
    if jax.default_backend() == "cpu" and "@lapack_" in lowered.as_text():
        return _lowered(in_turn, width, arguments, axes, donate)
    return lowered


def _lowered(
    mapped: Callable[..., Any], width: int, arguments: Sequence[Any], axes: Sequence[int | None], donate: Any
) -> Any:
    """A function of all lanes, on as many devices as there are for them."""
    import jax
    from jax.sharding import PartitionSpec

    if device_count(width) == 1:
        return jax.jit(mapped, donate_argnums=donate).lower(*arguments)
    mesh = _mesh(width)
    split, whole = PartitionSpec("lanes"), PartitionSpec()
    specs = tuple(whole if axis is None else split for axis in axes)
    # What starts as a constant and becomes a lane's own in a loop is no mistake here.
    mapped = jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    placed = tuple(jax.sharding.NamedSharding(mesh, spec) for spec in specs)
    result = jax.sharding.NamedSharding(mesh, split)
    return jax.jit(mapped, donate_argnums=donate, in_shardings=placed, out_shardings=result).lower(*arguments)


def compile_fast(lowered: Any, level: int) -> Any:
    """Compiles what does not run for long, in a third of the time.

    Args:
        lowered: the program.
        level: of optimisation: 0 for what runs once or twice, 1 for what runs now and then.
    """
    import jax

    options = {"xla_backend_optimization_level": level, "xla_llvm_disable_expensive_passes": not level}
    return lowered.compile(compiler_options=options if jax.default_backend() == "cpu" else None)


def put_on_devices(values: Any, width: int, *, split: bool = False) -> Any:
    """Arrays put where a program reads them.

    Args:
        values: arrays, nested in any way.
        width: lanes of the program.
        split: their leading axis is that of lanes, and each device gets its own; else each gets all.
    """
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding, PartitionSpec

    if device_count(width) == 1:
        return jax.tree.map(jnp.asarray, values)
    return jax.device_put(values, NamedSharding(_mesh(width), PartitionSpec("lanes") if split else PartitionSpec()))


def _mesh(width: int) -> Any:
    import jax
    import numpy as np

    return jax.sharding.Mesh(np.array(jax.local_devices()[: device_count(width)]), ("lanes",))
