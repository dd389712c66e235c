"""`kexp sync`: what waits on disk, delivered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import ConfigError
from kexp.tracking.client import check_reachable, client_for, store_errors
from kexp.tracking.delivery import Courier
from kexp.tracking.locks import file_lock
from kexp.tracking.outbox import Header, Outbox
from kexp.tracking.settings import StoreSettings, is_remote, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Delivered", "sync", "waiting_folders"]


@dataclass(frozen=True)
class Delivered:
    """What one run's delivery came to: rows that the store has now, and refusals with their reasons."""

    folder: Path
    run_id: str
    rows: int
    refused: tuple[str, ...] = ()


def waiting_folders(folder: Path) -> list[Path]:
    """The run folders in and below `folder` whose rows wait to be delivered."""
    outboxes = (Outbox(path.parent.parent) for path in sorted(folder.rglob("outbox/rows.jsonl")))
    return [outbox.run_folder for outbox in outboxes if outbox.waiting()]


def sync(folder: Path) -> list[Delivered]:
    """Delivers what waits in and below `folder`, each row once.

    Raises:
        ConfigError: there is no such folder.
        StoreError: the store is still away; what it took is remembered.
    """
    if not folder.is_dir():
        raise ConfigError.at("FOLDER", "there is no such folder", str(folder))
    return [delivered for path in waiting_folders(folder) if (delivered := _deliver(path)) is not None]


def _as_the_server_has_it(client: MlflowClient, header: Header) -> Header:
    """A sweep adds a model to a trial by the id of its record; a server gives the trial's run an id of its own."""
    if not is_remote(header.uri):
        return header
    found = client.search_runs([header.experiment_id], f"tags.`kexp.record` = '{header.run_id}'", max_results=1)
    return replace(header, run_id=found[0].info.run_id) if found else header


def _deliver(folder: Path) -> Delivered | None:
    outbox = Outbox(folder)
    with file_lock(outbox.folder / "lock", wait=False) as alone:
        if not alone:  # the run is in progress and delivers by itself
            return None
        header = outbox.header()
        check_reachable(StoreSettings(uri=header.uri))
        with store_errors(header.uri, "opening the store"):
            client = client_for(header.uri)
            courier = Courier(outbox, _as_the_server_has_it(client, header), client)
        with store_errors(header.uri, f"delivering what waits in {folder} to {without_password(header.uri)}"):
            courier.deliver(outbox.rows(courier.cursor.delivered))
        return Delivered(folder, header.run_id, courier.delivered, tuple(courier.refused))
