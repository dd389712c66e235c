"""A run in progress: each row is on disk at once, and in the store a second later, or when the store can be reached."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError
from kexp.system.disk import needing
from kexp.system.whole_files import copy_whole, whole_file
from kexp.system.wording import plural
from kexp.tracking.delivery.delivery_thread import BRIEF_S
from kexp.tracking.delivery.outbox import Header, Outbox
from kexp.tracking.delivery.progress import DeliveryState, refused_notice, wait_for, waiting_notice
from kexp.tracking.delivery.run_delivery import RunDelivery
from kexp.tracking.delivery.server_runs import create_run
from kexp.tracking.record.figures import draw
from kexp.tracking.record.rows import Row, tag_row
from kexp.tracking.record.run_record import lineage
from kexp.tracking.record.tracker import LastPoints, Status, Tracker, now_ms, reason_tags
from kexp.tracking.run.helper import Helper, claim
from kexp.tracking.settings import StoreSettings, database_file, resolve_uri
from kexp.tracking.store.client import client_for, store_errors
from kexp.tracking.store.database.sqlite_file import create_run_in_file, generate_run_name
from kexp.tracking.store.heartbeat import end_run, heartbeat_tags
from kexp.tracking.store.locks import file_lock
from kexp.tracking.store.prepare import prepare_store, prepare_without_mlflow

if TYPE_CHECKING:
    import keras
    import numpy as np


__all__ = ["add_to_run", "open_run", "start_run"]


class RecordedRun(Tracker):
    """The Tracker that `open_run` returns. When a call returns, its rows are on disk.

    Args:
        settings: the store.
        header: the run.
        folder: the run's output folder.
        adds: whether the run is finished already. Additions wait on disk for `sync` or `deliver`.
        helper: the process that delivers the rows; None starts a thread of this process.
        preload, print_line: see `open_run`.
    """

    def __init__(
        self,
        settings: StoreSettings,
        header: Header,
        folder: Path,
        *,
        adds: bool = False,
        helper: Helper | None = None,
        preload: Collection[str] = (),
        print_line: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(header.run_id, header.name, folder)
        self.settings = settings
        self._header, self._preload, self._print_line = header, preload, print_line
        self._adds, self._ended = adds, False
        self._outbox = Outbox(folder.absolute())  # the working directory may change
        with contextlib.ExitStack() as opening:
            self._outbox.make_folder()
            if not opening.enter_context(file_lock(self._outbox.folder / "lock", wait=False)):
                raise StoreError(f"{folder}: another process is logging run {header.run_id} from here")
            self._outbox.open(header, again=adds)
            self._lock = opening.pop_all()
        self._putting = threading.Lock()
        self._delivery: Helper | RunDelivery | None = helper
        if helper is not None:
            helper.deliver(header, settings, folder, preload)
        elif not adds:
            self._delivery = self._deliver_here()

    def _deliver_here(self) -> RunDelivery:
        """Starts a thread that delivers the rows after the outbox's cursor."""
        writer = RunDelivery(self._outbox, self._header, self.settings, self._preload)
        writer.start()
        return writer

    def put(self, row: Row) -> None:
        self._outbox.append(row)
        with self._putting:
            if self._delivery is not None and not self._delivery.is_alive():  # the helper was killed
                self._delivery = self._deliver_here()

    def keep_file(self, file: Path, folder: str) -> str:
        if not file.resolve().is_relative_to(self.folder.resolve()):  # it may change before it is delivered
            copy = self._outbox.files / folder / file.name
            copy_whole(file, copy)
            file = copy
        return str(file.resolve().relative_to(self.folder.resolve()))

    def log_figure(self, drawing: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any) -> None:
        import numpy as np

        kept = self._outbox.files / "figures" / f"{drawing}.npz"
        kept.parent.mkdir(parents=True, exist_ok=True)
        size = sum(each.nbytes for each in (arrays or {}).values())
        with needing(size), whole_file(kept) as fresh, open(fresh, "wb") as out:
            np.savez(out, **(arrays or {}))  # type: ignore[arg-type]
        data = str(kept.relative_to(self._outbox.run_folder))
        figure = {"drawing": drawing, "data": data, "options": options}
        self.put({"figures": [figure]})
        if self._delivery is not None:
            self._delivery.wake()
        else:  # drawn here, because the process that delivers has many runs to deliver
            with contextlib.suppress(StoreError):  # reported when the figure is delivered
                draw(self._outbox.run_folder, figure)

    def log_keras_model(
        self,
        model: keras.Model,
        x: np.ndarray,
        y_pred: np.ndarray,
        *,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        **about: Any,
    ) -> None:
        from kexp.tracking.record.model_files import model_row

        linked = None if self._adds and not self.last_points else self.last_points
        if metrics is not None:
            linked = {key: (float(value), step, now_ms()) for key, value in metrics.items()}
        models, folder = self._outbox.folder / "models", self._outbox.run_folder
        self.put(model_row(models, folder, model, x, y_pred, metrics=linked, step=step, **about))

    def end(self, status: Status, reason: str = "") -> None:
        if self._ended:
            return
        self._ended = True
        tags = reason_tags(reason)
        try:
            if tags:
                self.set_tags(tags)
            if not self._adds:
                self.put({"end": {"status": status, "time_ms": now_ms()}})
        except OSError:  # the disk is full; the store may be elsewhere
            _end_in_store(self._header, status, tags)
        if self._delivery is not None:
            ending = self._wait(BRIEF_S if self.skips_wait or status == "KILLED" else self.settings.end_timeout_s)
            waiting = self._outbox.waiting()
            self.undelivered = waiting + ending.models_refused
            if waiting:
                self.notice = waiting_notice(ending, [(waiting, plural("row", waiting))], self.folder)
            elif ending.refused:
                self.notice = refused_notice(ending.refused, self._outbox.folder)
        self._outbox.close()
        self._lock.close()
        self.model_id = next(reversed(self._outbox.cursor().models.values()), None)

    def _wait(self, patience_s: float) -> DeliveryState:
        """Waits until all rows are delivered, the store has been away for `patience_s`, or Ctrl-C is pressed."""
        given_up = False

        def state(wait_s: float) -> DeliveryState:
            now = self._delivery.state(wait_s) if self._delivery is not None else None
            if now is None and not given_up:  # the helper was killed
                self._delivery = self._deliver_here()
                self._delivery.finish(patience_s)
            return replace(now or DeliveryState(), over=True) if given_up else now or DeliveryState()

        def give_up() -> None:
            nonlocal given_up
            given_up = True

        assert self._delivery is not None
        self._delivery.finish(patience_s)
        ending = wait_for(state, self._outbox.waiting, "rows", self._print_line, give_up)
        if given_up:
            self._delivery.close()
        return ending


def open_run(
    settings: StoreSettings,
    *,
    name: str | None,
    folder: Path,
    tags: Mapping[str, Any] | None = None,
    parent_run_id: str | None = None,
    run_id: str | None = None,
    preload: Collection[str] = (),
    print_line: Callable[[str], None] | None = None,
) -> Tracker:
    """Starts a run, or continues one.

    Args:
        settings: the store.
        name: the run's name; None lets MLflow choose one.
        folder: the run's output folder; its rows wait in `folder/outbox` until they are delivered.
        tags: the run's first tags.
        parent_run_id: the run of the sweep, if the run is a trial.
        run_id: an earlier run to continue; it becomes RUNNING again.
        preload: what will be logged at the end, "figure" or "model"; its modules are imported while the run trains.
        print_line: called with each line on what is still to be sent, while the run's end waits for the store.

    Raises:
        StoreError: the store is away or cannot be written.
    """
    own = tag_row({**(tags or {}), **heartbeat_tags()})["tags"]
    first = {**own, **lineage(parent_run_id)}
    with contextlib.ExitStack() as opening:
        helper = claim()
        if helper is not None:
            opening.callback(helper.close)
        header = _start_in_file(settings, name, first) if run_id is None else None  # does not wait for MLflow's import
        if header is None and helper is not None:
            header = helper.start_run(settings, name, first, run_id)
        if header is None:
            helper, header = None, start_run(settings, name, first, run_id)
        try:
            recorded = RecordedRun(settings, header, folder, helper=helper, preload=preload, print_line=print_line)
        except (OSError, StoreError) as error:  # the folder cannot be written
            if run_id is None:
                _end_in_store(header, "FAILED", reason_tags(str(error)))
            raise
        if helper is not None:
            opening.pop_all()
    if run_id is not None:
        recorded.set_tags(own)
    return recorded


def start_run(settings: StoreSettings, name: str | None, tags: Mapping[str, str], run_id: str | None) -> Header:
    """Creates the run in the store with its first tags, or sets an earlier run to RUNNING again.

    Args:
        settings: the store.
        name: the run's name; None lets MLflow choose one.
        tags: the tags of a new run.
        run_id: the earlier run; None for a new run.

    Raises:
        StoreError: the store is away or cannot be written.
    """
    header = _start_in_file(settings, name, tags) if run_id is None else None
    if header is not None:
        return header
    experiment = prepare_store(settings)
    uri = resolve_uri(settings)
    client = client_for(uri)
    with store_errors(uri, "starting the run"):
        if run_id is None:
            run = create_run(
                client, experiment, record_id=uuid.uuid4().hex, name=name, start_ms=now_ms(), tags=dict(tags)
            )
        else:
            client.update_run(run_id, status="RUNNING", name=name)
            run = client.get_run(run_id)
    info = run.info
    return Header(uri, info.run_id, info.experiment_id, info.run_name, info.artifact_uri)


def _start_in_file(settings: StoreSettings, name: str | None, tags: Mapping[str, str]) -> Header | None:
    """Creates the run in a SQLite file without importing MLflow. Returns None if that is not possible."""
    experiment, uri = prepare_without_mlflow(settings), resolve_uri(settings)
    file, name = database_file(uri), name or generate_run_name()
    if experiment is None or file is None or name is None:
        return None
    with store_errors(uri, "starting the run"):
        made = create_run_in_file(file, experiment, name=name, start_ms=now_ms(), tags=tags)
    return None if made is None else Header(uri, made[0], experiment, name, made[1])


def _end_in_store(header: Header, status: Status, tags: Mapping[str, str]) -> None:
    with contextlib.suppress(Exception):
        end_run(client_for(header.uri), header.run_id, status, tags=tags)


def add_to_run(header: Header, *, folder: Path, points: LastPoints | None = None) -> Tracker:
    """Adds to a finished run, for example the models of the best trials. The run keeps its status and times.

    The additions wait in `folder` for `sync` or `deliver`. MLflow is not imported. Rows of an earlier attempt that
    still wait there are dropped.

    Args:
        header: the run.
        folder: the run's folder.
        points: the last point of each of its metrics; read from the store unless given.
    """
    recorded = RecordedRun(StoreSettings(uri=header.uri), header, folder, adds=True)
    recorded.last_points.update({key: (value, at, stamp) for key, (value, at, stamp) in (points or {}).items()})
    return recorded
