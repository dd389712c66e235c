"""Reads runs from a server, or through MLflow's client from any other store that is no database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError
from kexp.tracking.store.client import client_for
from kexp.tracking.store.plain_http import request_without_mlflow
from kexp.tracking.values import restored_metric

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["fields_of", "found_runs"]

_PAGE = 1000


def found_runs(
    uri: str,
    experiment: str,
    *,
    tags: Mapping[str, str],
    tagged: str | None = None,
    run_ids: Sequence[str] | None = None,
    besides: Sequence[str] = (),
    prefix: str = "",
    status: str | None = None,
    limit: int | None = None,
    newest_first: bool = True,
    only_deleted: bool = False,
) -> Iterator[dict[str, Any]]:
    """Reads the fields of a `RunView`, except the experiment's name, of each run that matches, page by page.

    Args:
        uri: the server's address.
        experiment: the experiment's id.
        besides: ids of runs to leave out.
        only_deleted: whether to search only deleted runs, instead of only the others.
        tags, tagged, run_ids, prefix, status, limit, newest_first: see `runs.search`.
    """
    clauses = [f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items()]
    clauses += [f"attributes.status = '{status}'"] if status else []
    clauses += [f"tags.`{tagged}` LIKE '%'"] if tagged else []
    clauses += [f"attributes.run_id LIKE '{prefix}%'"] if prefix else []
    clauses += [f"attributes.run_id IN {_listed(run_ids)}"] if run_ids is not None else []
    clauses += [f"attributes.run_id NOT IN {_listed(besides)}"] if besides else []
    query: dict[str, Any] = {
        "experiment_ids": [experiment],
        "filter": " and ".join(clauses),
        "order_by": [f"attributes.start_time {'DESC' if newest_first else 'ASC'}"],
        "run_view_type": "DELETED_ONLY" if only_deleted else "ACTIVE_ONLY",
    }
    left, token = limit, ""
    while True:
        query["max_results"] = _PAGE if left is None else min(_PAGE, left)
        page, token = _page(uri, {**query, "page_token": token} if token else query)
        yield from page
        left = None if left is None else left - len(page)
        if not token or left == 0:
            return


def _page(uri: str, query: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Returns a page of the runs that a query finds, and the token of the next page. Avoids the import of MLflow."""
    answer = request_without_mlflow(uri, "POST", "runs/search", query)
    if answer is not None:
        return [_fields_of_json(run) for run in answer.get("runs", ())], answer.get("next_page_token", "")
    client = client_for(uri)
    from mlflow.entities import ViewType

    page = client.search_runs(
        query["experiment_ids"],
        query["filter"],
        run_view_type=ViewType.from_string(query["run_view_type"].lower()),
        max_results=query["max_results"],
        order_by=query["order_by"],
        page_token=query.get("page_token"),
    )
    return [fields_of(run) for run in page], page.token or ""


def fields_of(run: Run) -> dict[str, Any]:
    """Returns the fields of a `RunView`, except the experiment's name, of a run of MLflow's client."""
    outputs = getattr(run, "outputs", None)
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name or "",
        "status": run.info.status,
        "params": dict(run.data.params),
        "metrics": {key: restored_metric(value) for key, value in run.data.metrics.items()},
        "tags": dict(run.data.tags),
        "start_ms": run.info.start_time,
        "end_ms": run.info.end_time,
        "model_ids": tuple(output.model_id for output in outputs.model_outputs) if outputs else (),
    }


def _fields_of_json(run: Mapping[str, Any]) -> dict[str, Any]:
    info, data, end_ms = run["info"], run.get("data", {}), run["info"].get("end_time")
    return {
        "run_id": info["run_id"],
        "name": info.get("run_name", ""),
        "status": info["status"],
        "params": {each["key"]: each.get("value", "") for each in data.get("params", ())},
        "metrics": {each["key"]: restored_metric(float(each.get("value", 0))) for each in data.get("metrics", ())},
        "tags": {each["key"]: each.get("value", "") for each in data.get("tags", ())},
        "start_ms": int(info.get("start_time", 0)),
        "end_ms": int(end_ms) if end_ms else None,
        "model_ids": tuple(each["model_id"] for each in run.get("outputs", {}).get("model_outputs", ())),
    }


def _listed(values: Sequence[str]) -> str:
    return f"({', '.join(map(_quoted, values))})"


def _quoted(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise ConfigError(f"a tag cannot be searched for by a value with both kinds of quotation marks, got {value!r}")
