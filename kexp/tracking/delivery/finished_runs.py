"""Delivers finished runs, the trials of a sweep, in as few calls as possible."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence

from kexp.errors import StoreError, in_a_line, without_passwords
from kexp.system.disk import is_disk_full
from kexp.tracking.delivery.artifacts import check_files
from kexp.tracking.delivery.bulk_insert import insert_runs
from kexp.tracking.delivery.server_runs import send_runs
from kexp.tracking.delivery.trial_outbox import TrialOutbox
from kexp.tracking.reading.stale import delete_runs
from kexp.tracking.record.run_record import RunRecord
from kexp.tracking.settings import StoreSettings, is_remote, resolve_uri
from kexp.tracking.store.client import client_for, is_transient, reason_of, sql_store
from kexp.tracking.store.database.tables import chunks
from kexp.tracking.store.prepare import prepare_store

__all__ = ["deliver_records", "log_finished_runs"]

_RUNS_A_TRANSACTION = 100
_ATTEMPTS = 5  # while a database is locked; for a server, the caller tries again later


def log_finished_runs(
    settings: StoreSettings,
    records: Sequence[RunRecord],
    fresh: Collection[str] = (),
    written: dict[str, str] | None = None,
) -> list[str]:
    """Writes finished runs, each exactly once, even if attempts fail in between.

    Args:
        settings: the store.
        records: the runs.
        fresh: ids of the records that were never tried before, so that a server need not be searched for them.
        written: gets the id of each record -> the id of its run, even if others fail.

    Returns:
        The runs' ids, in the order of `records`.

    Raises:
        StoreError: the store stayed away or locked, or refused a run. Some runs may have been written; a second call
            with the same records writes the others only.
    """
    for record in records:
        check_files(record.row)
    experiment, uri = prepare_store(settings), resolve_uri(settings)
    client = client_for(uri)
    in_database = not is_remote(uri) and sql_store(client) is not None
    run_ids: dict[str, str] = {} if written is None else written
    for chunk in chunks(records, _RUNS_A_TRANSACTION):
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if in_database:
                    run_ids |= zip((each.run_id for each in chunk), insert_runs(client, experiment, chunk), strict=True)
                else:
                    left = [each for each in chunk if each.run_id not in run_ids]
                    send_runs(client, experiment, left, fresh if attempt == 1 else (), run_ids)
                break
            except Exception as error:
                attempts = 1 if is_disk_full(error) else _ATTEMPTS if in_database else 2
                if not is_transient(error) or attempt == attempts:
                    raise StoreError(
                        f"tracking.uri: writing runs failed at {without_passwords(uri)}: {reason_of(error, uri=uri)}"
                    ) from error
                time.sleep(0.5 * 2**attempt)
    return [run_ids[each.run_id] for each in records]


def deliver_records(
    outbox: TrialOutbox,
    settings: StoreSettings,
    records: Sequence[RunRecord],
    fresh: Collection[str] = (),
    replaced: Mapping[str, Sequence[str]] | None = None,
    written: dict[str, str] | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Writes records that wait in an outbox. A record that the store refuses is set aside, and stops no other.

    Args:
        outbox: the outbox with the records, unless the disk was full. Written and refused records are removed from it.
        settings: the store.
        records: the runs.
        fresh: see `log_finished_runs`.
        replaced: fingerprint -> runs of an earlier attempt, which are deleted after their successor is written.
        written: see `log_finished_runs`.

    Returns:
        The id of each written record -> the id of its run, and the reasons why others were refused.

    Raises:
        StoreError: the store is away. Some runs may have been written.
    """
    prepare_store(settings)  # an error here is about the store, not about a record
    run_ids: dict[str, str] = {} if written is None else written
    problem: Exception | None = None
    try:
        log_finished_runs(settings, records, fresh, run_ids)
    except Exception as error:
        problem = error
    done = [record for record in records if record.run_id in run_ids]
    earlier = {each for record in done for each in (replaced or {}).get(record.fingerprint, ())}
    if replaced_ids := earlier - {run_ids[record.run_id] for record in done}:
        delete_runs(settings, sorted(replaced_ids))
    outbox.drop(done)
    left = [record for record in records if record.run_id not in run_ids]
    if problem is None or not left:
        return run_ids, []
    if _is_away(problem):
        raise problem
    if len(left) > 1:
        half = len(left) // 2
        halves = left[:half], left[half:]
        refused = [deliver_records(outbox, settings, each, (), replaced, run_ids)[1] for each in halves]
        return run_ids, [*refused[0], *refused[1]]
    reason = str(problem) if isinstance(problem, StoreError) else in_a_line(problem)
    with contextlib.suppress(OSError, StoreError):  # the disk is full as well; the reason is returned all the same
        outbox.refuse(settings, left[0], reason)
    return run_ids, [f"{left[0].name}: {reason}"]


def _is_away(error: Exception) -> bool:
    """Returns whether the store may accept the record later, because the error is transient."""
    return isinstance(error, StoreError) and error.__cause__ is not None and is_transient(error.__cause__)
