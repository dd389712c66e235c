"""`kexp show RUN`: prints what the store has of a run: status, models, metrics, parameters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexp.stored import StoredRun

__all__ = ["show_run"]


def show_run(ref: str, tracking_uri: str | None, experiment: str | None) -> int:
    """Prints a run.

    Args:
        ref: the run; see `kexp.tracking.find_run`.
        tracking_uri: the store; None for the default one.
        experiment: the MLflow experiment to search; None for all.

    Returns:
        The exit code.
    """
    from kexp import stored
    from kexp.commands.support.options import truncate

    run = stored.find(ref, tracking_uri=tracking_uri, experiment=experiment)
    view = run.view
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(view.start_ms / 1000))
    took = f", {view.duration_s:.1f} s" if view.duration_s is not None else ""
    print(f"run       {view.name}  {view.run_id}")
    print(f"status    {view.status}, {began}{took}, experiment {view.experiment}")
    for label, text in (
        ("reason", view.tags.get("kexp.reason", "")),
        ("sweep", view.parent_run_id or ""),
        ("best", view.tags.get("kexp.sweep.best", "")),
        ("begins", view.tags.get("kexp.begins_with", "")),
        *(("model", f"models:/{model_id}") for model_id in view.model_ids),
        *(("version", version) for version in _versions(run)),
    ):
        if text:
            print(f"{label:<9} {text}")
    for heading, pairs in (
        ("metrics", {key: f"{value:.6g}" for key, value in sorted(view.metrics.items())}),
        ("parameters", dict(sorted(view.params.items()))),
    ):
        if pairs:
            print(f"\n{heading}")
            width = max(map(len, pairs))
            for key, shown in pairs.items():
                print(f"  {key:<{width}}  {truncate(shown)}")
    return 0


def _versions(run: StoredRun) -> list[str]:
    """Returns the registered versions of the run's models with their aliases; empty without a registry."""
    from kexp.errors import StoreError
    from kexp.tracking import resolve_uri
    from kexp.tracking.store.client import client_for, store_errors

    uri = resolve_uri(run.settings)
    try:
        with store_errors(uri, "reading the model registry"):
            client = client_for(uri)
            found = client.search_model_versions(f"run_id = '{run.view.run_id}'")
            aliases = {name: client.get_registered_model(name).aliases for name in {each.name for each in found}}
    except StoreError:
        return []
    return [
        " ".join(
            [
                f"models:/{each.name}/{each.version}",
                *(f"models:/{each.name}@{key}" for key, named in aliases[each.name].items() if named == each.version),
            ]
        )
        for each in found
    ]
