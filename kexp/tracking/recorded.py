"""A run in an MLflow store: on disk at once, in the store a second later, whatever becomes of the store meanwhile."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, StoreError
from kexp.tracking.client import client_for, store_errors
from kexp.tracking.delivery import draw, now_ms
from kexp.tracking.helper import Helper, claim
from kexp.tracking.locks import file_lock
from kexp.tracking.outbox import Header, Outbox, Row
from kexp.tracking.rows import artifact_path, dataset_row, metric_row, param_row, tag_row
from kexp.tracking.settings import StoreSettings, command_line, resolve_uri
from kexp.tracking.store import prepare_store
from kexp.tracking.tracker import Status, Tracker
from kexp.tracking.writer import Ending, Writer

if TYPE_CHECKING:
    import keras
    import numpy as np

    from kexp.tracking.model_registry import Registration

__all__ = ["add_to_run", "deliver_added", "open_run", "start_run"]


class _Later:
    """In the place of what delivers a run: another process does so later."""

    def is_alive(self) -> bool:
        return True

    def wake(self) -> None:
        pass

    def finish(self, timeout_s: float) -> Ending:
        return Ending()


class RecordedRun:
    """A run in an MLflow store: the Tracker that `open_run` returns. A helper delivers it, or else a thread.

    With `adds` the run is over, and what is added to it waits for `deliver_added`, here or in another process.
    """

    def __init__(
        self,
        settings: StoreSettings,
        header: Header,
        folder: Path,
        *,
        adds: bool = False,
        helper: Helper | None = None,
        coming: Collection[str] = (),
    ) -> None:
        self.settings, self.folder = settings, folder
        self._header, self._coming = header, coming
        self.run_id, self.name = header.run_id, header.name
        self.notice = ""
        self.model_id: str | None = None
        self._adds = adds
        self._outbox = Outbox(folder.absolute())  # the working directory may change
        with contextlib.ExitStack() as opening:
            self._outbox.make_folder()
            if not opening.enter_context(file_lock(self._outbox.folder / "lock", wait=False)):
                raise StoreError(f"{folder}: another process is logging run {header.run_id} from here")
            self._outbox.open(header, again=adds)
            self._lock = opening.pop_all()
        self._last: dict[str, tuple[float, int, int]] = {}
        self._params: dict[str, str] = {}
        self._datasets: dict[tuple[str, str], str] = {}
        self._ended = False
        self._putting = threading.Lock()
        self._delivery: Helper | Writer | _Later
        if adds:
            self._delivery = _Later()
        elif helper is None:
            self._delivery = self._deliver_here()
        else:
            self._delivery = helper
            helper.deliver(header, settings, folder, coming)

    def _deliver_here(self) -> Writer:
        """Goes on where the outbox's cursor stands."""
        writer = Writer(self._outbox, self._header, self.settings, self._coming)
        writer.start()
        return writer

    def log_params(self, params: Mapping[str, Any]) -> None:
        row, long = param_row(params)
        for key, text in row["params"].items():
            if self._params.setdefault(key, text) != text:
                raise ConfigError.at(key, f"a parameter of a run cannot change from {self._params[key]!r}", text)
        for key, text in long.items():
            self.log_text(text, f"params/{key}.txt")
        self._put(row)

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        row, infinite = metric_row(metrics, int(step), now_ms() if timestamp_ms is None else int(timestamp_ms))
        for key, value, at, stamp in row["metrics"]:
            self._last[key] = (value, at, stamp)
        if infinite:
            row["tags"] = {"kexp.infinite": ", ".join(f"{key} at step {step}" for key in infinite)}
        self._put(row)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self._put(tag_row(tags))

    def log_text(self, text: str, path: str) -> None:
        inside = artifact_path(path)
        file = self._outbox.files / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self._put_file(file, str(inside.parent))

    def log_file(self, file: Path, folder: str = "") -> None:
        if not file.exists():
            raise StoreError(f"{file}: there is no such file to record as an artifact")
        inside = artifact_path(folder) if folder else PurePosixPath()
        if not file.resolve().is_relative_to(self.folder.resolve()):  # it may change or go before the store has it
            copy = self._outbox.files / inside / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(file, copy, dirs_exist_ok=True) if file.is_dir() else shutil.copy2(file, copy)
            file = copy
        self._put_file(file, str(inside))

    def _put_file(self, file: Path, folder: str) -> None:
        local = file.resolve().relative_to(self.folder.resolve())
        self._put({"artifact": {"local": str(local), "folder": "" if folder == "." else folder}})

    def log_figure(self, drawing: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:
        import numpy as np

        kept = self._outbox.files / "figures" / f"{drawing}.npz"
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **(arrays or {}))  # type: ignore[arg-type]
        data = str(kept.relative_to(self._outbox.run_folder))
        figure = {"drawing": drawing, "data": data, "options": options}
        self._put({"figure": figure})
        self._delivery.wake()
        if self._adds:  # it can be drawn here: whoever delivers has many runs to deliver
            with contextlib.suppress(StoreError):  # shows when it is delivered
                draw(self._outbox, figure)

    def log_dataset(
        self,
        *,
        name: str,
        digest: str,
        context: str,
        source: str = "",
        source_type: str = "code",
        schema: Any = None,
        profile: Any = None,
    ) -> None:
        # MLflow keeps one input of a run for each name and digest, and would drop the second context of the same data.
        if self._datasets.setdefault((name, digest), context) != context:
            name = f"{name} ({context})"
        self._put(
            dataset_row(name, digest, context, source=source, source_type=source_type, schema=schema, profile=profile)
        )

    def log_keras_model(
        self,
        model: keras.Model,
        x: np.ndarray,
        y_pred: np.ndarray,
        *,
        name: str = "model",
        register: Registration | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
    ) -> None:
        from kexp.tracking.models import model_row

        linked = None if self._adds else self._last
        if metrics is not None:
            linked = {key: (float(value), step, now_ms()) for key, value in metrics.items()}
        row = model_row(
            self._outbox, model, x, y_pred, name=name, register=register, params=params or {}, metrics=linked, step=step
        )
        self._put(row)

    def end(self, status: Status, reason: str = "") -> None:
        if self._ended:
            return
        self._ended = True
        tags = {"kexp.reason": " ".join(reason.split())[:500]} if reason else {}
        try:
            if tags:
                self._put(tag_row(tags))
            if not self._adds:
                self._put({"end": {"status": status, "time_ms": now_ms()}})
        except OSError:  # the disk is full: the store, which may be elsewhere, is told without it
            self._tell_end(status, tags)
        ending = self._delivery.finish(self.settings.end_timeout_s)
        if ending is None:  # a helper that was killed at the last moment
            ending = self._deliver_here().finish(self.settings.end_timeout_s)
        self._outbox.close()
        self._lock.close()
        self.model_id = next(reversed(self._outbox.cursor().models.values()), None)
        self.notice = "" if self._adds else _notice(self._outbox, self.folder, ending)

    def _tell_end(self, status: Status, tags: Mapping[str, str]) -> None:
        with contextlib.suppress(Exception):
            client = client_for(self._header.uri)
            for key, value in tags.items():
                client.set_tag(self.run_id, key, value)
            client.set_terminated(self.run_id, status)

    def _put(self, row: Row) -> None:
        self._outbox.append(row)
        with self._putting:
            if not self._delivery.is_alive():  # a helper that was killed
                self._delivery = self._deliver_here()


def open_run(
    settings: StoreSettings,
    *,
    name: str | None,
    folder: Path,
    tags: Mapping[str, Any] | None = None,
    parent_run_id: str | None = None,
    run_id: str | None = None,
    coming: Collection[str] = (),
) -> Tracker:
    """Starts a run, or goes on with one.

    Args:
        settings: the store.
        name: the run's name; None lets MLflow make one up.
        folder: the run's output folder; its rows wait in `folder/outbox` until the store has them.
        tags: the run's first tags.
        parent_run_id: the sweep that the run is a trial of.
        run_id: an earlier run to go on with; it becomes RUNNING again.
        coming: what will be logged at its end, "figure" or "model"; what that takes is imported meanwhile.

    Raises:
        StoreError: the store is away or cannot be written. Nothing has been computed by then.
    """
    own = tag_row(
        {
            **(tags or {}),
            "kexp.pid": os.getpid(),
            "kexp.host": socket.gethostname(),
            "kexp.heartbeat": int(time.time()),
        }
    )["tags"]
    first = {**own, **_lineage(parent_run_id)}
    with contextlib.ExitStack() as opening:
        helper = claim()
        if helper is not None:
            opening.callback(helper.close)
        header = None if helper is None else helper.start_run(settings, name, first, run_id)
        if header is None:
            helper, header = None, start_run(settings, name, first, run_id)
        recorded = RecordedRun(settings, header, folder, helper=helper, coming=coming)
        if helper is not None:
            opening.pop_all()
    if run_id is not None:
        recorded.set_tags(own)
    return recorded


def start_run(settings: StoreSettings, name: str | None, tags: Mapping[str, str], run_id: str | None) -> Header:
    """Makes the run in the store, with its first tags; or makes an earlier one RUNNING again.

    Raises:
        StoreError: the store is away or cannot be written.
    """
    experiment = prepare_store(settings)
    uri = resolve_uri(settings)
    client = client_for(uri)
    with store_errors(uri, "starting the run"):
        if run_id is None:
            run = client.create_run(experiment, tags=dict(tags), run_name=name)
        else:
            client.update_run(run_id, status="RUNNING", name=name)
            run = client.get_run(run_id)
    return Header(uri=uri, run_id=run.info.run_id, experiment_id=run.info.experiment_id, name=run.info.run_name)


def add_to_run(header: Header, *, folder: Path) -> Tracker:
    """Adds to a run that is over, a sweep's best trials' models, say: its status and times stay as they are.

    Nothing of it is delivered before `deliver_added`, and MLflow is not imported. What an earlier attempt left in
    `folder`, and the store does not have yet, is given up.
    """
    return RecordedRun(StoreSettings(uri=header.uri), header, folder, adds=True)


def deliver_added(settings: StoreSettings, folder: Path, run_ids: Mapping[str, str] | None = None) -> str:
    """Delivers what `add_to_run` has left in `folder`.

    Args:
        settings: the store.
        folder: the run's.
        run_ids: a server's own ids of runs, by the ids that their records had here.

    Returns:
        What the user should know of it; usually empty.
    """
    outbox = Outbox(folder.absolute())
    if not outbox.exists():
        return ""
    with file_lock(outbox.folder / "lock"):
        header = outbox.header()
        header = replace(header, run_id=(run_ids or {}).get(header.run_id, header.run_id))
        writer = Writer(outbox, header, settings)
        writer.start()
        return _notice(outbox, folder, writer.finish(settings.end_timeout_s))


def _notice(outbox: Outbox, folder: Path, ending: Ending) -> str:
    """What the user should know about a delivery: nothing when all is well."""
    waiting = outbox.waiting()
    if waiting:
        away = f" ({ending.failure})" if ending.failure else ""
        how = f"deliver them with `{command_line('sync', str(folder))}`"
        return f"The tracking store is away{away}: {waiting} rows wait in {folder}; {how}."
    if ending.refused:
        count, first = len(ending.refused), ending.refused[0]
        return f"The tracking store refused {count} rows, kept in {outbox.folder}: {first}"
    return ""


def _lineage(parent_run_id: str | None) -> dict[str, str]:
    lineage = {"mlflow.source.type": "LOCAL", "mlflow.source.name": sys.argv[0] or "python"}
    with contextlib.suppress(Exception):  # a container's user may have no name
        lineage["mlflow.user"] = getpass.getuser()
    return lineage if parent_run_id is None else {**lineage, "mlflow.parentRunId": parent_run_id}
