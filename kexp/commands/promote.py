"""`kexp promote RUN NAME`: registers a run's model in MLflow's model registry, optionally only if it is better."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kexp.commands.support.options import find_run_argument, hide_warnings, run_parser
from kexp.errors import ConfigError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from kexp.stored import StoredRun

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Registers a run's MLflow model; returns exit code 1 if `--if-better` finds that it is not better."""
    args = _parser().parse_args(arguments)
    from kexp.schema.mlflow_names import check_alias, check_model_name

    check_model_name("NAME", args.name)
    if args.alias is not None:
        check_alias("--alias", args.alias)
    hide_warnings()
    from kexp.tracking import resolve_uri
    from kexp.tracking.store.client import client_for

    run = find_run_argument(args)
    uri = resolve_uri(run.settings)
    client = client_for(uri)
    model_id = _model_of(run)
    if args.if_better is not None:
        better, line = _compare(run, args, client, uri)
        print(line)
        if not better:
            return 1
    print(_promote(run, args, client, uri, model_id))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = run_parser("promote", "Register a run's model in MLflow's model registry, as the next version of NAME.")
    parser.add_argument("name", metavar="NAME", help="the registered model; created if missing")
    parser.add_argument("--alias", metavar="ALIAS", help="set this alias to the version: models:/NAME@ALIAS")
    parser.add_argument(
        "--if-better",
        metavar="METRIC",
        help="only if METRIC is better than that of the version with ALIAS, or of the newest without --alias; "
        "exit code 1 if not",
    )
    parser.add_argument("--direction", choices=("minimize", "maximize"), help="by default from the metric's name")
    return parser


def _model_of(run: StoredRun) -> str:
    """Returns the id of a run's last logged model.

    Raises:
        ConfigError: the run is not one of kexp's, or it has no logged model.
    """
    from kexp.tracking import command_line

    if "kexp.sweep.name" in run.view.tags:
        raise ConfigError(f"RUN: {run.label} is a sweep; its best trial is best:{run.view.name}")
    if "kexp.fingerprint" not in run.view.tags:
        raise ConfigError(f"RUN: {run.label} is no run of kexp's with a model")
    if run.view.model_ids:
        return run.view.model_ids[-1]
    if run.view.status == "RUNNING":
        raise ConfigError(f"RUN: {run.label} is still running")
    again = command_line("reproduce", run.view.run_id[:8], "--save", store=run.settings)
    raise ConfigError(f"RUN: {run.label} has no MLflow model; `{again}` trains it again and saves one")


def _compare(run: StoredRun, args: argparse.Namespace, client: MlflowClient, uri: str) -> tuple[bool, str]:
    """Returns whether a run is better than the registered version, and a line with both values.

    Raises:
        ConfigError: there is no version, or it has no such metric.
    """
    from kexp.sweeps.objective import choose_objective
    from kexp.tracking.reading.runs import run_with_id
    from kexp.tracking.store.model_registry import version_named

    metric = args.if_better
    objective = choose_objective(run.view.metrics, metric, args.direction, key="--if-better")
    version = version_named(client, uri, args.name, args.alias)
    without = "nothing is promoted; do so without --if-better"
    if version is None:
        address = f"{args.name}@{args.alias}" if args.alias else args.name
        raise ConfigError(f"--if-better: there is no models:/{address} to compare to, so {without}")
    named = f"models:/{args.name}/{version.version}"
    view = run_with_id(run.settings, version.run_id) if version.run_id else None
    before = None if view is None else view.metrics.get(metric)
    if before is None or math.isnan(before):
        raise ConfigError(f"--if-better: {named} has no {metric} to compare to, so {without}")
    now = run.view.metrics[metric]
    better = not math.isnan(now) and objective.better(now, before)
    compared = f"{metric} {now:.6g} of {run.view.name}, {before:.6g} of {named}"
    return better, f"{'better   ' if better else 'no better'} {compared}{'' if better else '; nothing is promoted'}"


def _promote(run: StoredRun, args: argparse.Namespace, client: MlflowClient, uri: str, model_id: str) -> str:
    from kexp.tracking import registration
    from kexp.tracking.store.client import store_errors
    from kexp.tracking.store.model_registry import register

    view: Any = run.view
    wanted = registration(
        args.name, args.alias, run=view.name, params=view.params, metrics=view.metrics, tags=view.tags
    )
    with store_errors(uri, "registering the model"):
        version = register(client, uri, wanted, model_id, view.run_id)
    address = f"models:/{args.name}/{version.version}"
    alias = f", models:/{args.name}@{args.alias}" if args.alias else ""
    return f"promoted  {view.name} ({view.run_id[:8]}) is {address}{alias}"
