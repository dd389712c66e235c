"""Trials that are over and that the store has not taken yet: kept on disk until it does.

FOLDER/outbox/trials/RUN.json     a trial's record, and the store that it is for
FOLDER/outbox/trials/RUN.refused  one that the store will never take, with its reason
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kexp.errors import StoreError
from kexp.sweeps.earlier import delete_runs, unfinished_runs
from kexp.tracking import DatasetRecord, RunRecord, StoreSettings, log_finished_runs, resolve_uri, search
from kexp.tracking.client import check_reachable, is_transient
from kexp.tracking.locks import file_lock
from kexp.tracking.values import param_value

__all__ = ["DeliveredTrials", "Spool", "deliver", "fingerprint_of", "is_refusal", "send", "waiting_sweeps"]


@dataclass(frozen=True)
class DeliveredTrials:
    """What the delivery of a sweep's trials came to: how many the store has now, and refusals with their reasons."""

    trials: int
    refused: tuple[str, ...] = ()


class Spool:
    """The records of one sweep that wait on disk.

    Args:
        folder: the sweep's.
    """

    def __init__(self, folder: Path) -> None:
        self.sweep_folder = folder
        self.folder = folder / "outbox" / "trials"
        self._change = threading.Lock()  # one thread keeps while another drops, and the folder comes and goes

    def keep(self, store: StoreSettings, records: Iterable[RunRecord]) -> None:
        """Writes the records that are not there yet.

        Raises:
            OSError: the disk does not take them.
        """
        where = {"uri": resolve_uri(store), "experiment": store.experiment, "artifacts": store.artifact_location}
        for record in records:
            file = self._file(record)
            if not file.exists():
                with self._change:
                    _write(file, {"store": where, "record": _as_json(record)})

    def drop(self, records: Iterable[RunRecord]) -> None:
        """The store has these."""
        with self._change:
            for record in records:
                self._file(record).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others wait still
                self.folder.rmdir()

    def refuse(self, store: StoreSettings, record: RunRecord, reason: str) -> None:
        """Keeps a record that the store will never take, so that it stops no other."""
        where = {"uri": resolve_uri(store), "experiment": store.experiment, "artifacts": store.artifact_location}
        _write(self._file(record, "refused"), {"reason": reason, "store": where, "record": _as_json(record)})
        self.drop([record])

    def waiting(self) -> list[tuple[StoreSettings, RunRecord]]:
        """What waits, the oldest first, each with the store that it is for.

        A file that is empty is of a machine that went down: it had its name, and its content was on its way.

        Raises:
            StoreError: a file is not one that `keep` has written.
        """
        found = [_read(file) for file in self.folder.glob("*.json") if file.stat().st_size]
        return sorted(found, key=lambda each: (each[1].end_ms, each[1].run_id))

    def _file(self, record: RunRecord, kind: str = "json") -> Path:
        return self.folder / f"{record.run_id}.{kind}"


def waiting_sweeps(folder: Path) -> list[Path]:
    """The sweeps in and below `folder` of which trials wait to be delivered."""
    return sorted({file.parents[2] for file in folder.rglob("outbox/trials/*.json")})


def deliver(folder: Path) -> DeliveredTrials | None:
    """Delivers the trials that wait in a sweep's folder, each once; None while the sweep is running.

    Raises:
        StoreError: the store is still away; what it took is not sent again.
    """
    with file_lock(folder / "outbox" / "lock", wait=False) as alone:  # the sweep's run holds it while it lives
        if not alone:
            return None
        spool, groups = Spool(folder), dict[tuple[StoreSettings, str | None], list[RunRecord]]()
        for store, record in spool.waiting():
            groups.setdefault((store, record.parent_run_id), []).append(record)
        sent, refused = 0, list[str]()
        for (store, sweep), records in groups.items():
            check_reachable(store)
            found = send(spool, store, sweep, records)
            sent += found.trials
            refused += found.refused
        return DeliveredTrials(sent, tuple(refused))


def send(spool: Spool, store: StoreSettings, sweep: str | None, records: Sequence[RunRecord]) -> DeliveredTrials:
    """Writes records that wait in the place of earlier attempts; not those whose trial has been run again meanwhile.

    Args:
        spool: where they wait.
        store: where they are to go.
        sweep: the run of their sweep.
        records: of that sweep's trials.

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
    again = [record for record in records if record.run_id not in finished.get(fingerprint_of(record), {record.run_id})]
    spool.drop(again)
    missing = [record for record in records if record not in again]
    written, refused = _write_what_is_taken(spool, store, missing)
    for record, run_id in written:
        delete_runs(store, [each for each in earlier.get(fingerprint_of(record), ()) if each != run_id])
        spool.drop([record])
    return DeliveredTrials(len(written), tuple(refused))


def _write_what_is_taken(
    spool: Spool, store: StoreSettings, records: Sequence[RunRecord]
) -> tuple[list[tuple[RunRecord, str]], list[str]]:
    """Records with the ids that their runs have, and why others were refused; together, and one by one after a no."""
    try:
        return list(zip(records, log_finished_runs(store, records), strict=True)), []
    except StoreError as error:
        if not is_refusal(error):
            raise
        if len(records) == 1:
            spool.refuse(store, records[0], str(error))
            return [], [f"{records[0].name}: {error}"]
    found = [_write_what_is_taken(spool, store, [record]) for record in records]
    return [each for some, _ in found for each in some], [why for _, some in found for why in some]


def fingerprint_of(record: RunRecord) -> str:
    """What makes another trial the same; empty where it is not known."""
    return str(record.tags.get("kexp.fingerprint", ""))


def is_refusal(error: StoreError) -> bool:
    """Whether the store, or our own check before it, said no to the record itself, and will say so again."""
    cause = error.__cause__
    return cause is None or not is_transient(cause)


def _as_json(record: RunRecord) -> dict[str, Any]:
    """A record as JSON holds it: values as the store will have them."""
    return {
        **{name: getattr(record, name) for name in ("name", "status", "start_ms", "end_ms", "parent_run_id", "run_id")},
        "params": {str(key): param_value(value) for key, value in record.params.items()},
        "tags": {str(key): param_value(value) for key, value in record.tags.items()},
        "metrics": [[key, float(value), int(step), int(stamp)] for key, value, step, stamp in record.metrics],
        "texts": dict(record.texts),
        "files": [[str(Path(file).absolute()), folder] for file, folder in record.files],
        "datasets": [
            {**asdict(each), "schema": _text(each.schema), "profile": _text(each.profile)} for each in record.datasets
        ],
    }


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, whatever kills this process. To wait for the disk would cost more than the store does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    # The address of a store may carry a password.
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as written:
        written.write(json.dumps(content, ensure_ascii=False))
    os.replace(fresh, file)


def _read(file: Path) -> tuple[StoreSettings, RunRecord]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        where, told = content["store"], content["record"]
        datasets = [DatasetRecord(**each) for each in told.pop("datasets")]
        files = [(Path(name), folder) for name, folder in told.pop("files")]
        metrics = [(str(key), float(value), int(step), int(stamp)) for key, value, step, stamp in told.pop("metrics")]
        record = RunRecord(**told, metrics=metrics, files=files, datasets=datasets)
        return StoreSettings(where["uri"], where["experiment"], where["artifacts"]), record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file}: does not hold the record of a trial: {error}") from error
