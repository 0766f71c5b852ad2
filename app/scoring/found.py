"""Found: one metric of a finished job's result, in a format that a program reads, or the reason why there is none."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from alignment.errors import UnknownNameError
from app.api import etags
from app.api.jobs import FACTS, FINAL, find_job, result_text, status_of
from app.api.state import State
from app.problems import Problem, invalid
from app.storage.tables import jobs

MetricKey = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=1000,
        description="a metric's `key` in the result; the first, if none is named",
        examples=["cka:kernel=rbf"],
    ),
]
_ENDED = {"failed": "failed", "cancelled": "was cancelled"}
_BLOCK = 1 << 16  # characters of CSV that are sent at a time
Grid = Sequence[Sequence[float | None]]
NPZ, CSV, SVG, PNG = "application/vnd.numpy.npz", "text/csv; charset=utf-8", "image/svg+xml", "image/png"
_DRAWING = threading.Lock()  # matplotlib's settings are the process's: two pictures at once would see each other's
_WAITING = threading.BoundedSemaphore(8)  # who waits holds one of the threads that every other request needs, too
# A picture is opened as a page of its own, too: nothing in it may run or be fetched.
_LOCKED = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def answer(
    state: State,
    team: str,
    kind: str,
    job_id: str,
    metric: str | None,
    known: str | None,
    variant: str,
    make: Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Response],
) -> Response:
    """Returns what is made of one metric of a job's result; an empty 304 if the client has it.

    Args:
        state: the application's parts.
        team: who asks.
        kind: the kind of job.
        job_id: the job.
        metric: the metric's key; None takes the first.
        known: the request's `If-None-Match`.
        variant: what is made: the same variant of the same result is the same.
        make: makes it from the result, the metric's part of it and the job's payload.

    Raises:
        Problem: 404 if there is no such job, 409 if it has no result, 422 if that has no such metric.
    """
    with state.database.read() as connection:
        row = find_job(connection, team, kind, job_id, (*FACTS, jobs.c.payload))
        status = status_of(row)
        if status not in FINAL:
            raise Problem(409, f"the {kind} is {status}; its result comes when it has succeeded: follow its /events")
        if status != "succeeded":
            raise Problem(409, f"the {kind} has no result, for it {_ENDED[status]}; see its `error`, or post it again")

        tag = etags.etag(job_id, row["version"], variant, metric)
        unchanged = etags.unchanged(known, tag)
        if unchanged is not None:
            return unchanged
        text = result_text(connection, job_id)
    # A picture takes its time: the connection is free meanwhile.
    result = json.loads(text or b"{}")
    metrics = {one["key"]: one for one in result["metrics"]}
    key = metric or next(iter(metrics))
    if key not in metrics:
        raise invalid("query/metric", str(UnknownNameError("metric of this result", key, metrics)))
    return etags.tagged(make(result, metrics[key], row["payload"]), tag)


def as_json(value: Mapping[str, Any]) -> Response:
    """Returns JSON."""
    return Response(to_json(value), media_type="application/json")


def as_csv(
    name: str, corner: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[float | None]]]
) -> Response:
    """Returns a table as CSV, some rows at a time; an empty field where there is no number."""

    def blocks() -> Iterator[str]:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([corner, *columns])
        for label, values in rows:
            writer.writerow([label, *("" if value is None else repr(value) for value in values)])
            if text.tell() >= _BLOCK:
                yield text.getvalue()
                text.seek(0)
                text.truncate()
        yield text.getvalue()

    return StreamingResponse(blocks(), media_type=CSV, headers=saved_as(name, "csv"))


def as_npz(name: str, grids: Mapping[str, Grid | None], names: Mapping[str, Sequence[str]]) -> Response:
    """Returns arrays: float64, NaN where there is no number, and texts; a grid that there is none of is left out."""
    arrays: dict[str, Any] = {what: np.array(given, dtype=str) for what, given in names.items()}
    for what, grid in grids.items():
        if grid is not None:
            arrays[what] = np.array(grid, dtype=np.float64)  # None is NaN to numpy
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return Response(out.getvalue(), media_type=NPZ, headers=saved_as(name, "npz"))


def as_picture(draw: Callable[[], bytes], kind: str) -> Response:
    """Returns what is drawn, one picture at a time.

    Raises:
        Problem: 503 if too many wait for theirs.
    """
    if not _WAITING.acquire(blocking=False):
        raise Problem(503, "too many pictures are being drawn; try again in a moment", headers={"Retry-After": "1"})
    try:
        with _DRAWING:
            content = draw()
    finally:
        _WAITING.release()
    return Response(content, media_type=kind, headers=_LOCKED)


def saved_as(name: str, extension: str) -> dict[str, str]:
    """Returns the header that has a browser keep an answer as a file."""
    safe = re.sub(r"[^A-Za-z0-9._=-]+", "-", name)
    return {"Content-Disposition": f'attachment; filename="{safe}.{extension}"'}
