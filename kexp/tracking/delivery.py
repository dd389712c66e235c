"""Rows from an outbox into MLflow, in as few calls as possible, none twice.

Every kind of row may be delivered again without harm: MLflow's store drops a metric that it has with the same key,
step, time and value; a parameter with the same value and a tag are simply there; an artifact overwrites itself; data
sets and models are looked for first.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kexp.errors import StoreError, first_line
from kexp.tracking.client import is_transient, reason_of
from kexp.tracking.outbox import Cursor, Header, Outbox, Row

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["AwayError", "Courier", "draw", "load_for"]

# MLflow's limits for one log_batch call.
_METRICS, _PARAMS, _TAGS = 1000, 100, 100
# What delivering a row of a kind imports first, and takes long to.
_MODULES = {"figure": ("matplotlib.figure", "matplotlib.backends.backend_agg"), "model": ("mlflow.pyfunc",)}


class AwayError(StoreError):
    """The store cannot take rows now; later it may."""


class Courier:
    """Delivers one run's rows. Used by one thread at a time.

    Args:
        outbox: whose cursor is moved on as rows are delivered.
        header: the run.
        client: MLflow's client of the run's store.
    """

    def __init__(self, outbox: Outbox, header: Header, client: MlflowClient) -> None:
        self.outbox, self.header, self.client = outbox, header, client
        self.cursor: Cursor = outbox.cursor()
        self.delivered = 0
        self.refused: list[str] = []

    def deliver(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Sends `rows`, pairs of (offset at which the row ends, row), in order.

        Raises:
            AwayError: the store is away, locked or overloaded; the cursor stands after the last rows that it took.
        """
        for offset, count, row in _gathered(rows):
            try:
                self._send(row)
            except Exception as error:
                if self._is_away(error):
                    raise AwayError(reason_of(error)) from error
                self._send_piecewise(row)
            self.delivered += count
            self.cursor.delivered = max(self.cursor.delivered, offset)
            self.outbox.advance(self.cursor)

    def _is_away(self, error: Exception) -> bool:
        """INTERNAL_ERROR is a broken connection, or a row that MLflow cannot digest: reading the run tells which."""
        if not is_transient(error):
            return False
        if getattr(error, "error_code", None) != "INTERNAL_ERROR" or "locked" in str(error):
            return True
        try:
            self.client.get_run(self.header.run_id)
        except Exception as second:
            return is_transient(second)
        return False

    def _send_piecewise(self, row: Row) -> None:
        """After a refusal: each part alone, so that what is wrong costs nothing else."""
        for part in _parts(row):
            try:
                self._send(part)
            except Exception as error:
                if self._is_away(error):
                    raise AwayError(reason_of(error)) from error
                self.refused.append(first_line(error))
                self.outbox.refuse(part, first_line(error))

    def _send(self, row: Row) -> None:
        if "artifact" in row:
            self._send_artifact(row["artifact"])
        elif "figure" in row:
            local = draw(self.outbox, row["figure"]).absolute()
            self._send_artifact({"local": str(local), "folder": local.parent.name})
        elif "dataset" in row:
            self._send_dataset(row["dataset"])
        elif "model" in row:
            from kexp.tracking.models import deliver_model

            deliver_model(self.client, self.header, self.outbox, self.cursor, row["model"])
        elif "end" in row:
            self.client.set_terminated(self.header.run_id, row["end"]["status"], end_time=row["end"]["time_ms"])
        else:
            self._send_batch(row)

    def _send_batch(self, row: Row) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(key, value, stamp, step) for key, value, step, stamp in row.get("metrics", ())]
        params = [Param(key, value) for key, value in row.get("params", {}).items()]
        tags = [RunTag(key, value) for key, value in row.get("tags", {}).items()]
        self.client.log_batch(self.header.run_id, metrics, params, tags, synchronous=True)

    def _send_artifact(self, artifact: dict[str, str]) -> None:
        local = Path(artifact["local"])
        local = local if local.is_absolute() else self.outbox.run_folder / local
        if not local.exists():
            raise StoreError(
                f"{local}: the file is gone, so it cannot become the artifact {artifact['folder'] or '.'}/{local.name}"
            )
        if local.is_dir():
            self.client.log_artifacts(
                self.header.run_id, str(local), str(PurePosixPath(artifact["folder"]) / local.name)
            )
        else:
            self.client.log_artifact(self.header.run_id, str(local), artifact["folder"] or None)

    def _send_dataset(self, row: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(**{key: row[key] for key in ("name", "digest", "source_type", "source", "schema", "profile")})
        self.client.log_inputs(
            self.header.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", row["context"])])]
        )


def load_for(kind: str) -> None:
    """Imports what rows of a kind take, before there is one."""
    for module in _MODULES[kind]:
        with contextlib.suppress(Exception):  # shows, with its reason, when it is used
            importlib.import_module(module)


def draw(outbox: Outbox, figure: dict[str, Any]) -> Path:
    """The PNG of a figure's row, `figures/DRAWING.png` in the run's folder; drawn where it is not there yet."""
    file = outbox.run_folder / "figures" / f"{figure['drawing']}.png"
    data = outbox.run_folder / figure["data"]
    if file.exists() and (not data.exists() or file.stat().st_mtime_ns > data.stat().st_mtime_ns):
        return file
    import numpy as np

    from kexp.tracking.figures import draw_figure

    unfinished = file.with_suffix(".part")
    try:
        with np.load(data) as arrays:
            draw_figure(figure["drawing"], unfinished, dict(arrays), figure["options"])
    except OSError:  # a full disk, say: later it may be drawn
        raise
    except Exception as error:
        raise StoreError(f"{file}: it could not be drawn: {type(error).__name__}: {first_line(error)}") from error
    os.replace(unfinished, file)
    return file


def _gathered(rows: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, int, Row]]:
    """Rows joined into as few calls as MLflow's limits allow: (offset at which the last ends, how many, joined row)."""
    joined: Row = {"metrics": [], "params": {}, "tags": {}}
    end, count = 0, 0
    for offset, row in rows:
        for part in _within_limits(row):
            if not _is_batch(part) or not _fits(joined, part):
                if count:
                    yield end, count, joined
                joined, count = {"metrics": [], "params": {}, "tags": {}}, 0
            if _is_batch(part):
                joined["metrics"].extend(part.get("metrics", ()))
                joined["params"].update(part.get("params", {}))
                joined["tags"].update(part.get("tags", {}))
                end, count = offset, count + 1
            else:
                yield offset, 1, part
    if count:
        yield end, count, joined


def _is_batch(row: Row) -> bool:
    return not row.keys() - {"metrics", "params", "tags"}


def _fits(joined: Row, row: Row) -> bool:
    return (
        len(joined["metrics"]) + len(row.get("metrics", ())) <= _METRICS
        and len(joined["params"]) + len(row.get("params", {})) <= _PARAMS
        and len(joined["tags"]) + len(row.get("tags", {})) <= _TAGS
    )


def _within_limits(row: Row) -> Iterator[Row]:
    if not _is_batch(row) or _fits({"metrics": [], "params": {}, "tags": {}}, row):
        yield row
        return
    for name, most in (("metrics", _METRICS), ("params", _PARAMS), ("tags", _TAGS)):
        items = list(row[name].items()) if isinstance(row.get(name), dict) else list(row.get(name, ()))
        for first in range(0, len(items), most):
            some = items[first : first + most]
            yield {name: some if name == "metrics" else dict(some)}


def _parts(row: Row) -> Iterator[Row]:
    if not _is_batch(row):
        yield row
        return
    for name in ("params", "tags"):
        for key, value in row.get(name, {}).items():
            yield {name: {key: value}}
    for metric in row.get("metrics", ()):
        yield {"metrics": [metric]}


def now_ms() -> int:
    """The time as MLflow counts it."""
    return time.time_ns() // 1_000_000
