"""What a valid experiment is: the typed form of a composed config, and the checks that need no compute.

`check` takes the plain nested dict that Hydra composed and returns an `Experiment`, or raises one sentence. Nothing
here imports Keras; a component's parameters are held against its signature.
"""

from __future__ import annotations

from kexp.schema.checking import check
from kexp.schema.experiment import Experiment, Taken
from kexp.schema.nodes import DEFAULT_OPTIMIZER, Node, component_node, defaults_of, optimizer_node
from kexp.schema.settings import AUTO, SETTINGS, Fused, Save, Sweep, Tracking, Trainer, models_kept, settings_of

__all__ = [
    "AUTO",
    "DEFAULT_OPTIMIZER",
    "SETTINGS",
    "Experiment",
    "Fused",
    "Node",
    "Save",
    "Sweep",
    "Taken",
    "Tracking",
    "Trainer",
    "check",
    "component_node",
    "defaults_of",
    "models_kept",
    "optimizer_node",
    "settings_of",
]
