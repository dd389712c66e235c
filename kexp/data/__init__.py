"""Data: rows of features and targets, split, encoded and fed to Keras in an order that only the seed decides.

All data is rows with random access. A `Source` reads any rows in any order, `split` divides row numbers into parts by
seed, `epoch_order` is a pure function of seed and epoch, and `feed` cuts batches of row numbers from it. NumPy and
tf.data therefore yield the same batches, files larger than memory are streamed, and training can resume at any epoch.

Names are imported lazily: listing components and showing a factory's parameters does not import NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kexp.data.feeding.feed import Feed, feed
    from kexp.data.feeding.weights import class_weights
    from kexp.data.inference import arrays
    from kexp.data.source import ArraySource, Data, DataSpec, Source, from_source
    from kexp.data.sources.conversion import as_data
    from kexp.data.splitting.order import epoch_order
    from kexp.data.splitting.parts import Part
    from kexp.data.splitting.splits import Splits, split
    from kexp.data.table.data import table_encoded
    from kexp.data.tfrecord.component import write_tfrecord

_HOMES = {
    "ArraySource": "source",
    "Data": "source",
    "DataSpec": "source",
    "Feed": "feeding.feed",
    "Part": "splitting.parts",
    "Source": "source",
    "Splits": "splitting.splits",
    "arrays": "inference",
    "as_data": "sources.conversion",
    "class_weights": "feeding.weights",
    "epoch_order": "splitting.order",
    "feed": "feeding.feed",
    "from_source": "source",
    "split": "splitting.splits",
    "table_encoded": "table.data",
    "write_tfrecord": "tfrecord.component",
}

__all__ = [
    "ArraySource",
    "Data",
    "DataSpec",
    "Feed",
    "Part",
    "Source",
    "Splits",
    "arrays",
    "as_data",
    "class_weights",
    "epoch_order",
    "feed",
    "from_source",
    "split",
    "table_encoded",
    "write_tfrecord",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kexp.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kexp.data.{_HOMES[name]}"), name)
