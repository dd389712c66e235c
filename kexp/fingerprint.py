"""The fingerprint of an experiment: a digest of everything that can change its result, and of nothing else."""

from __future__ import annotations

import hashlib
import json

from kexp.schema import Experiment
from kexp.system.versions import installed_version

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

INITIAL_VALUES = 1  # to be raised when equal seeds give other initial values than before


def fingerprint(experiment: Experiment, data_digest: str) -> str:
    """Computes the fingerprint, which is equal for equal experiments.

    Args:
        experiment: complete, with all values that follow from the data.
        data_digest: the digest of the data's content.

    Returns:
        A SHA-256 digest, 64 hexadecimal digits.
    """
    config = experiment.as_dict()
    for key in IRRELEVANT:
        group, _, leaf = key.partition(".")
        if leaf:
            config[group].pop(leaf, None)
        else:
            config.pop(group, None)
    config["data"].pop("feed", None)  # both feeds give the same batches
    for key, metric in experiment.metrics.items():
        if metric.common.get("weighted") is False:
            del config["metrics"][key]["weighted"]
    if not config["trainer"]["changes"]:
        del config["trainer"]["changes"]
    if experiment.trainer.engine == "fit" or experiment.fused.max_lanes is None:
        config.pop("fused")  # the number of lanes affects the last bits of a compiled training only
    providers = {node.component.distribution: node.component.version for node in experiment.nodes()}
    references = {
        node.component.target: node.component.version
        for node in experiment.nodes()
        if node.component.distribution == "reference"
    }
    providers.pop("reference", None)
    packages = {name: installed_version(name) or "" for name in ("keras", experiment.backend)}
    content = {
        "config": config,
        "data": data_digest,
        "initial_values": INITIAL_VALUES,
        "packages": {**providers, **packages},
        "references": references,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
