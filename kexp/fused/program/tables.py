"""Data on the device, one copy for all lanes that read it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kexp.experiment import feeds

if TYPE_CHECKING:
    from kexp.experiment import Prepared

__all__ = ["Tables", "class_table"]


class Tables:
    """The tables of the data sets in use, by content. Lanes with other splits read other rows of the same table."""

    def __init__(self) -> None:
        self._tables: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def table(self, prepared: Prepared) -> Any:
        """Returns the fields of a `Table` with all rows of a trial's data: x, y, labels, sample weights."""
        import jax.numpy as jnp
        import numpy as np

        part = prepared.splits.train
        has_class_weights = prepared.experiment.trainer.class_weight is not None
        encoded = part.rows.tobytes() if prepared.splits.encoding else None
        key = (part.data.digest, part.targets, has_class_weights, encoded)
        with self._lock:
            if key not in self._tables:
                from kexp.data.splitting.parts import encode_targets

                x, y = part.data.source.read(np.arange(len(part.data), dtype=np.intp))
                labels = jnp.asarray(part.data.targets.astype(np.int32)) if has_class_weights else None
                targets = encode_targets(y, part.targets, part.spec)
                sample_weights = None if part.data.weights is None else jnp.asarray(part.data.weights)
                self._tables[key] = (jnp.asarray(x), jnp.asarray(targets), labels, sample_weights)
            return self._tables[key]

    def size_bytes(self, prepared: Prepared) -> int:
        """Returns the memory of a trial's table on the device."""
        import jax

        return sum(int(each.nbytes) for each in jax.tree.leaves(self.table(prepared)))

    def first_batches(self, prepared: Prepared, count: int) -> list[tuple[Any, ...]]:
        """Returns the first batches of training rows in epoch 1, filled up by repetition if there are fewer rows."""
        import jax.numpy as jnp
        import numpy as np

        feed = feeds(prepared, kind="tfdata")[0]  # a feed that reads single rows of data that is not in memory
        size = feed.batch_size
        rows = np.resize(feed.order(0), count * size)
        return [tuple(jnp.asarray(a) for a in feed.batch(rows[i * size : (i + 1) * size])) for i in range(count)]


def class_table(prepared: Prepared) -> Any:
    """Returns the weight by class index, float32, shape (classes,); None without class weights."""
    import numpy as np

    from kexp.data import class_weights

    weights: Any = prepared.experiment.trainer.class_weight
    if weights is None:
        return None
    part = prepared.splits.train
    table = np.ones(part.spec.outputs, np.float32)
    for index, weight in (class_weights(part, weights) or {}).items():
        table[int(index)] = weight
    return table
