"""Delivers what another process left on disk, for `kexp sync` and `kexp resume`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kexp.errors import ConfigError, StoreError, without_passwords
from kexp.tracking.delivery.finished_runs import deliver_records
from kexp.tracking.delivery.outbox import Outbox
from kexp.tracking.delivery.run_sender import RunSender
from kexp.tracking.delivery.server_runs import record_on_server
from kexp.tracking.delivery.trial_outbox import TrialOutbox
from kexp.tracking.reading.runs import search
from kexp.tracking.reading.stale import unfinished_runs
from kexp.tracking.record.run_record import RunRecord
from kexp.tracking.settings import StoreSettings, is_remote, resolve_uri
from kexp.tracking.store.client import check_reachable, client_for, store_errors
from kexp.tracking.store.locks import file_lock

__all__ = ["Delivered", "deliver", "deliver_trials", "store_of", "sync", "waiting_folders"]


@dataclass(frozen=True)
class Delivered:
    """The result of delivering one folder's outbox.

    Attributes:
        folder: the folder of the run or sweep.
        run_id: the run whose rows waited; empty if no rows waited.
        rows: how many rows were delivered.
        trials: how many trials of the sweep were delivered.
        refused: the reason for each row and trial that the store refused.
        models_refused: how many of those were models.
    """

    folder: Path
    run_id: str = ""
    rows: int = 0
    trials: int = 0
    refused: tuple[str, ...] = ()
    models_refused: int = 0


def waiting_folders(folder: Path) -> list[Path]:
    """Returns the folders of runs and sweeps, in and below `folder`, whose outbox has something to deliver."""
    runs = {path.parents[1] for path in folder.rglob("outbox/rows.jsonl") if Outbox(path.parents[1]).waiting()}
    sweeps = {path.parents[2] for path in folder.rglob("outbox/trials/*.jsonl")}
    # A sweep's folder comes before its trials' folders, because their runs must exist before models are added to them.
    return sorted(runs | sweeps)


def sync(folder: Path) -> list[Delivered]:
    """Delivers what waits in and below `folder`, each row and trial once.

    Raises:
        ConfigError: the folder does not exist.
        StoreError: the store is still away. What was delivered is not sent again.
    """
    if not folder.is_dir():
        raise ConfigError.at("FOLDER", "there is no such folder", str(folder))
    return [delivered for path in waiting_folders(folder) if (delivered := deliver(path)) is not None]


def store_of(folder: Path) -> str:
    """Returns the address of the store of what waits in a folder; empty if a file is damaged."""
    try:
        for store, _ in TrialOutbox(folder).waiting():
            return resolve_uri(store)
        return resolve_uri(StoreSettings(uri=Outbox(folder).header().uri))
    except (OSError, StoreError):  # `deliver` reports what is wrong
        return ""


def deliver(folder: Path, run_ids: Mapping[str, str] | None = None) -> Delivered | None:
    """Delivers what waits in the outbox of one folder.

    Args:
        folder: the folder of a run or sweep.
        run_ids: id of a record -> id of its run on a server, if known.

    Returns:
        What was delivered; None if the run is in progress, and delivers by itself.

    Raises:
        StoreError: the store is still away. What was delivered is not sent again.
    """
    with file_lock(folder / "outbox" / "lock", wait=False) as locked:
        if not locked:
            return None
        waiting: dict[tuple[StoreSettings, str | None], list[RunRecord]] = {}
        for store, record in TrialOutbox(folder).waiting():
            waiting.setdefault((store, record.parent_run_id), []).append(record)
        written, refused = 0, list[str]()
        for (store, sweep), records in waiting.items():
            check_reachable(resolve_uri(store))
            count, reasons = deliver_trials(folder, store, sweep, records)
            written, refused = written + count, refused + [f"a trial: {each}" for each in reasons]
        if not (Outbox(folder).exists() and Outbox(folder).waiting()):
            return Delivered(folder, trials=written, refused=tuple(refused))
        sender = _deliver_rows(Outbox(folder), run_ids)
        refused += [f"a row: {each}" for each in sender.refused]
        return Delivered(folder, sender.run.run_id, sender.delivered, written, tuple(refused), sender.models_refused)


def deliver_trials(
    folder: Path, store: StoreSettings, sweep: str | None, records: Sequence[RunRecord]
) -> tuple[int, list[str]]:
    """Writes records in place of earlier attempts, and drops records of trials that have finished since.

    Args:
        folder: the sweep's folder, with the outbox of the records.
        store: their store.
        sweep: the id of the sweep's run.
        records: the records of that sweep's trials.

    Returns:
        How many records were written, and the reasons why others were refused.

    Raises:
        StoreError: the store is away.
    """
    finished: dict[str, set[str]] = {}
    earlier: dict[str, list[str]] = {}
    if sweep is not None:
        for view in search(store, parent_run_id=sweep, status="FINISHED"):
            same = {view.run_id, view.tags.get("kexp.record", "")}
            finished.setdefault(view.tags.get("kexp.fingerprint", ""), set()).update(same)
        finished.pop("", None)
        earlier = unfinished_runs(store, sweep)
    outbox = TrialOutbox(folder)
    missing = [record for record in records if record.run_id in finished.get(record.fingerprint, {record.run_id})]
    outbox.drop([record for record in records if record not in missing])
    run_ids, refused = deliver_records(outbox, store, missing, replaced=earlier)
    return len(run_ids), refused


def _deliver_rows(outbox: Outbox, run_ids: Mapping[str, str] | None) -> RunSender:
    """Delivers the rows of a run that wait in an outbox.

    Raises:
        StoreError: the store is still away.
    """
    run = outbox.header()
    check_reachable(run.uri)
    with store_errors(run.uri, "opening the store"):
        client = client_for(run.uri)
        if run_ids is None and is_remote(run.uri):  # a sweep adds a model to a trial by the id of its record
            found = record_on_server(client, run.experiment_id, run.run_id)
            run_ids = {} if found is None else {run.run_id: found.info.run_id}
        run = replace(run, run_id=(run_ids or {}).get(run.run_id, run.run_id))
        sender = RunSender(client, run, outbox)
    try:
        sender.deliver(outbox.rows(sender.cursor.delivered))
    except StoreError as error:
        address = without_passwords(run.uri)
        raise StoreError(f"tracking.uri: delivering {outbox.run_folder} failed at {address}: {error}") from error
    return sender
