"""`kexp sync`: what waits on disk, delivered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kexp.errors import ConfigError
from kexp.tracking.client import check_reachable, client_for, store_errors
from kexp.tracking.delivery import Courier
from kexp.tracking.locks import file_lock
from kexp.tracking.outbox import Outbox
from kexp.tracking.settings import StoreSettings, without_password

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


def _deliver(folder: Path) -> Delivered | None:
    outbox = Outbox(folder)
    with file_lock(outbox.folder / "lock", wait=False) as alone:
        if not alone:  # the run is in progress and delivers by itself
            return None
        header = outbox.header()
        check_reachable(StoreSettings(uri=header.uri))
        with store_errors(header.uri, "opening the store"):
            courier = Courier(outbox, header, client_for(header.uri))
        with store_errors(header.uri, f"delivering what waits in {folder} to {without_password(header.uri)}"):
            courier.deliver(outbox.rows(courier.cursor.delivered))
        return Delivered(folder, header.run_id, courier.delivered, tuple(courier.refused))
