"""Check a composed config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal

from kexp.errors import ConfigError
from kexp.rules import Whole, check_value
from kexp.schema.experiment import Experiment
from kexp.schema.mappings import as_mapping, refuse_unknown
from kexp.schema.mlflow_names import check_alias, check_model_name, check_tag, check_tag_text
from kexp.schema.nodes import component_node, is_left_open, optimizer_node, several_nodes
from kexp.schema.run_names import check_run_name
from kexp.schema.settings import AUTO, SETTINGS, Save, Tracking, models_kept, settings_from
from kexp.system.passwords import hide_in

__all__ = ["check"]


def check(config: Mapping[str, Any]) -> Experiment:
    """Returns the composed config as an experiment.

    Args:
        config: a plain nested dict, with interpolations resolved.

    Raises:
        ConfigError: the config is not valid; one sentence on the first problem, which names its key.
    """
    config = hide_in(config)  # the config is shown and stored
    keys = [f.name for f in fields(Experiment) if f.default is MISSING and f.default_factory is MISSING]
    refuse_unknown("", config, {*keys, *SETTINGS})
    for key in keys:
        if key not in config:
            raise ConfigError(f"{key}: must be given")
    check_value("seed", config["seed"], Whole)
    if config["seed"] >= 2**63:
        raise ConfigError.at("seed", "must be less than 2**63", config["seed"])
    check_value("backend", config["backend"], Literal["tensorflow", "jax", "torch"])
    check_value("name", config["name"], str | None)
    loss = as_mapping("loss", config["loss"])
    if loss.get("name") == AUTO and len(loss) > 1:
        first = next(key for key in loss if key != "name")
        raise ConfigError(f"loss.{first}: auto takes no parameters; choose a loss by loss=NAME")
    trainer = settings_from("trainer", config["trainer"])
    tracking = settings_from("tracking", config["tracking"])
    _check_tracking(tracking, config)
    _check_save(settings_from("save", config["save"]), tracking)
    if trainer.engine == "compiled" and config["backend"] != "jax":
        raise ConfigError.at("backend", "must be jax with trainer.engine=compiled", config["backend"])
    if trainer.changes and trainer.engine != "compiled":
        raise ConfigError("trainer.changes: needs trainer=compiled, whose programs take numbers that change")
    return Experiment(
        name=config["name"],
        seed=config["seed"],
        backend=config["backend"],
        data=component_node("data", config["data"], "data"),
        model=component_node("model", config["model"], "model"),
        activation=component_node("activation", config["activation"], "activation"),
        optimizer=optimizer_node(config["optimizer"]),
        optimizer_follows_model=is_left_open(config["optimizer"]),
        loss=None if loss.get("name") == AUTO else component_node("loss", loss, "loss"),
        metrics=several_nodes("metrics", config["metrics"]),
        metrics_follow_data=AUTO in as_mapping("metrics", config["metrics"]),
        callbacks=several_nodes("callbacks", config["callbacks"]),
        **{key: settings_from(key, config.get(key, {})) for key in SETTINGS},
    )


def _check_tracking(tracking: Tracking, config: Mapping[str, Any]) -> None:
    if tracking.experiment is not None and not tracking.experiment.strip():
        raise ConfigError.at("tracking.experiment", "must be a name", tracking.experiment)
    if tracking.run_name is not None:
        check_run_name(tracking.run_name, config)
    for name, value in (tracking.tags or {}).items():
        check_tag("tracking.tags", str(name), value)
    if tracking.description is not None:
        check_tag_text("tracking.description", tracking.description)


def _check_save(save: Save, tracking: Tracking) -> None:
    """Checks that the settings fit together: a registered model must also be saved."""
    models_kept(save.keep)
    if save.register is None:
        if save.alias is not None:
            raise ConfigError.at(
                "save.alias", "must be given with save.register=NAME, the model that it is of", save.alias
            )
        return
    check_model_name("save.register", save.register)
    if not tracking.enabled:
        raise ConfigError.at(
            "save.register", "must not be given with tracking=none, which has no registry", save.register
        )
    if not save.model:
        raise ConfigError.at("save.model", "must be true with save.register", save.model)
    if save.alias is not None:
        check_alias("save.alias", save.alias)
