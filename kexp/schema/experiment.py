"""A checked config, and how the data and the model's own code complete it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kexp.errors import ConfigError
from kexp.schema.nodes import Node, component_node
from kexp.schema.settings import AUTO, SETTINGS, Fused, Save, Sweep, Tracking, Trainer

__all__ = ["Experiment", "Taken"]


@dataclass(frozen=True)
class Taken:
    """The settings that a model's own code compiled it with; None for those that it did not give."""

    optimizer: Node | None = None
    loss: Node | None = None
    metrics: dict[str, Node] | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)  # settings of `compile`, by the trainer's keys
    ignored: tuple[str, ...] = ()  # settings that kexp does not support, as written
    unnamed: Mapping[str, ConfigError] = field(default_factory=dict)  # part -> why a config cannot name it


@dataclass(frozen=True)
class Experiment:
    """A checked config."""

    name: str | None
    seed: int
    backend: str
    data: Node
    model: Node
    activation: Node
    optimizer: Node
    loss: Node | None
    metrics: dict[str, Node]
    callbacks: dict[str, Node]
    trainer: Trainer
    tracking: Tracking
    save: Save
    sweep: Sweep
    fused: Fused = field(default_factory=Fused)
    metrics_follow_data: bool = False  # `metrics=[auto]`
    optimizer_follows_model: bool = False  # `optimizer=auto` without any setting
    optimizer_of_model: bool = False  # the node describes the optimizer of the model's own code

    def nodes(self) -> Iterator[Node]:
        """Yields every chosen component."""
        yield from (self.data, self.model, self.activation, self.optimizer)
        if self.loss is not None:
            yield self.loss
        if self.optimizer.common["schedule"] is not None:
            yield self.optimizer.common["schedule"]
        yield from self.metrics.values()
        yield from self.callbacks.values()

    def compiled_metrics(self, *, rows_weighted: bool) -> tuple[dict[str, Node], dict[str, Node]]:
        """Returns the metrics as `compile` takes them: `metrics` and `weighted_metrics`.

        Args:
            rows_weighted: whether rows have sample weights. Each metric is then also measured with them; Keras calls it
                `weighted_NAME` if it is measured without them too.
        """
        asked = {key: node for key, node in self.metrics.items() if node.common.get("weighted")}
        rest = {key: node for key, node in self.metrics.items() if key not in asked}
        too = {key: node for key, node in rest.items() if rows_weighted and f"weighted_{key}" not in asked}
        return rest, {**too, **asked}

    def as_dict(self) -> dict[str, Any]:
        """Returns the experiment as a plain config, from which `check` returns an equal experiment."""
        return {
            "name": self.name,
            "seed": self.seed,
            "backend": self.backend,
            "data": self.data.as_dict(),
            "model": self.model.as_dict(),
            "activation": self.activation.as_dict(),
            "optimizer": self.optimizer.as_dict() | ({"name": AUTO} if self.optimizer_follows_model else {}),
            "loss": {"name": AUTO} if self.loss is None else self.loss.as_dict(),
            "metrics": {key: node.as_dict() for key, node in self.metrics.items()}
            | ({AUTO: {"name": AUTO}} if self.metrics_follow_data else {}),
            "callbacks": {key: node.as_dict() for key, node in self.callbacks.items()},
            **{key: asdict(getattr(self, key)) for key in SETTINGS},
        }

    def choosing(self, loss: str, metrics: Mapping[str, str], targets: Mapping[str, str] | None = None) -> Experiment:
        """Returns the experiment with the choices that the config leaves to the data; other choices are unchanged.

        Args:
            loss: the loss for `auto`.
            metrics: the metrics for `auto`, by key.
            targets: config key of a loss or a metric -> its form of targets.
        """
        changed = replace(self, optimizer_follows_model=False)
        if self.loss is None:
            changed = replace(changed, loss=component_node("loss", {"name": loss}, "loss"))
        if self.metrics_follow_data:
            chosen = {key: component_node("metrics", {"name": name}, f"metrics.{key}") for key, name in metrics.items()}
            changed = replace(changed, metrics=chosen | self.metrics, metrics_follow_data=False)
        return changed._taking(targets or {})

    def compiled_with(self, taken: Taken) -> Experiment:
        """Returns the experiment with what the model's own code compiled, where the config leaves it open."""
        changed = self
        if taken.optimizer is not None and self.optimizer_follows_model:
            changed = replace(
                changed, optimizer=taken.optimizer, optimizer_follows_model=False, optimizer_of_model=True
            )
        if taken.loss is not None and self.loss is None:
            changed = replace(changed, loss=taken.loss)
        if taken.metrics and self.metrics_follow_data:
            changed = replace(changed, metrics=taken.metrics | self.metrics, metrics_follow_data=False)
        return replace(changed, trainer=replace(self.trainer, **self.follows_model(taken)))

    def follows_model(self, taken: Taken) -> dict[str, Any]:
        """Returns the trainer's settings that the config leaves to the model's own code, with their values there."""
        return {key: value for key, value in taken.trainer.items() if getattr(self.trainer, key) == AUTO}

    def _taking(self, targets: Mapping[str, str]) -> Experiment:
        def taking(node: Node) -> Node:
            if node.path not in targets or node.common.get("targets", "") is not None:
                return node
            return replace(node, common={**node.common, "targets": targets[node.path]})

        if not targets or self.loss is None:
            return self
        metrics = {key: taking(node) for key, node in self.metrics.items()}
        return replace(self, loss=taking(self.loss), metrics=metrics)
