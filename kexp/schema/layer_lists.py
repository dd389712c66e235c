"""Refuses Keras layers that cannot be in a list of layers, and names the alternative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kexp.errors import ConfigError

__all__ = ["refuse_unlistable"]

_SEVERAL = (
    "takes several inputs, and a list of layers passes one; write the model as a function and choose it by reference,"
    " model=my_module:my_model"
)
_FUNCTION = "takes a function, which a config cannot write; write a layer of your own and name it, my_module:MyLayer"
_CELL = "is one step of a recurrent layer; write {{name: RNN, cell: {{name: {name}, ...}}}}"
_NOT_IN_A_LIST = {
    **dict.fromkeys(("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"), _SEVERAL),
    **dict.fromkeys(("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"), _SEVERAL),
    **dict.fromkeys(("HashedCrossing", "MaxNumBoundingBoxes"), _SEVERAL),
    **dict.fromkeys(("GRUCell", "LSTMCell", "SimpleRNNCell"), _CELL),
    "StackedRNNCells": "is one step of a recurrent layer; write {{name: RNN, cell: {{name: {name}, cells: [...]}}}}",
    "Wrapper": "is the base class of Keras' wrappers and does nothing itself; use TimeDistributed or Bidirectional",
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "Lambda", "TorchModuleWrapper"), _FUNCTION),
}


def refuse_unlistable(layers: Mapping[str, Any]) -> None:
    """Refuses a Keras layer that cannot be in a list of layers.

    Args:
        layers: config key -> name of each Keras layer of a list, in order.

    Raises:
        ConfigError: the list has such a layer, or an input layer that is not the first.
    """
    for place, (key, name) in enumerate(layers.items()):
        if name in _NOT_IN_A_LIST:
            raise ConfigError(f"{key}: {name} {_NOT_IN_A_LIST[name].format(name=name)}")
        if name in ("Input", "InputLayer") and place:
            raise ConfigError(f"{key}: {name} must be the first of the layers")
