"""What makes two runs the same: a digest of everything that can change the result, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kexp.schema import Experiment

__all__ = ["IRRELEVANT", "fingerprint"]

# Config keys that cannot change the history, the weights or the metrics.
IRRELEVANT = (
    "name",
    "tracking",
    "save",
    "sweep",
    "fused.memory_limit_mb",
    "fused.threads",
    "fused.strict",
    "fused.verify",
    "trainer.verbose",
    "trainer.checkpoint",
    "trainer.checkpoint_epochs",
    "trainer.checkpoint_seconds",
)

INITIAL_VALUES = 1  # raised when a seed comes to stand for other initial values


def fingerprint(experiment: Experiment, data_digest: str) -> str:
    """64 hexadecimal digits, equal for equal experiments.

    Args:
        experiment: settled, with nothing left to the data.
        data_digest: the digest of the data's content.
    """
    config = experiment.as_dict()
    for key in IRRELEVANT:
        group, _, leaf = key.partition(".")
        if leaf:
            config[group].pop(leaf, None)
        else:
            config.pop(group, None)
    config["data"].pop("feed", None)  # either feed gives the same batches
    if not config["trainer"]["changes"]:
        del config["trainer"]["changes"]
    if experiment.trainer.engine == "fit" or experiment.fused.max_lanes is None:
        config.pop("fused")  # the number of lanes decides the last bits of a compiled training, and of no other
    providers = {node.component.distribution: node.component.version for node in experiment.nodes()}
    references = {
        node.component.target: node.component.version
        for node in experiment.nodes()
        if node.component.distribution == "reference"
    }
    providers.pop("reference", None)
    packages = {name: _version(name) for name in ("keras", experiment.backend)}
    content = {
        "config": config,
        "data": data_digest,
        "initial_values": INITIAL_VALUES,
        "packages": {**providers, **packages},
        "references": references,
    }
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)


@lru_cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
