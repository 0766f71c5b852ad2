"""Handler: what a kind of job does, and what its result changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import RowMapping

from app.jobs.settling import Settled, nothing

Task = Literal["extract", "score"]
Queue = Literal["extract", "score", "extract-gpu", "score-gpu"]
GPU: Mapping[Task, Queue] = {"extract": "extract-gpu", "score": "score-gpu"}
FIGURES = "figures"  # what of a result is for `settled` alone, and not kept


def queue_of(task: Task, device: str) -> Queue:
    """Returns the queue for work on a device that was asked for: what is to be done on a GPU has its own.

    >>> queue_of("score", "auto"), queue_of("score", "cuda:1")
    ('score', 'score-gpu')
    """
    return GPU[task] if device.startswith("cuda") else task


def queues_of(tasks: Sequence[Task], devices: Sequence[str]) -> list[Queue]:
    """Returns the queues that a worker of such devices takes from; all its devices are of one kind.

    >>> queues_of(["score"], ["cpu"]), queues_of(["score"], ["cuda:0", "cuda:1"])
    (['score'], ['score', 'score-gpu'])
    """
    gpu = all(device.startswith("cuda") for device in devices)
    return [*tasks, *(GPU[task] for task in tasks if gpu)]


@dataclass(frozen=True)
class Part:
    """A part that a job waits for, shared with every other job that needs the same.

    Attributes:
        kind: the kind of job that it is.
        content: what it makes, as a hash: at most one of a content is under way.
        role: the stage that it is to the job that waits (`extract_a`).
        queue: who works on it.
        payload: what its work needs: plain JSON.
    """

    kind: str
    content: str
    role: str
    queue: Queue
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A job's result: plain JSON."""

    result: Mapping[str, Any]


@dataclass(frozen=True)
class Needs:
    """What a job waits for; its work is begun anew when all of it is there.

    Raises:
        ValueError: if it is nothing, for which a job would wait for ever.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a job that waits must wait for something: name at least one part")


@dataclass
class Context:
    """What work may use of the process that it runs in.

    Attributes:
        device: the device that is its own (`cpu`, `cuda:1`).
        settings: what the operator set, as plain JSON: folders and limits, no secrets.
        progress: called with the stage, how much is done, of how much.
        subject: what is being worked on, for an error to name (`model_a`); the work sets it as it goes on.
        names: texts that must not leave the server (its paths), and what to say instead.
    """

    device: str
    settings: Mapping[str, Any]
    progress: Callable[[str, int, int], None]
    subject: str | None = None
    names: dict[str, str] = field(default_factory=dict)


Work = Callable[[Mapping[str, Any], Context], Done | Needs]


def unchanged(job: RowMapping, error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns an error as it is."""
    return error


@dataclass(frozen=True)
class Handler:
    """A kind of job.

    Attributes:
        kind: its name.
        work: where the function that does it is, as `module:function`; a child process imports it.
        settled: what else a job's end changes, in the transaction that ends it.
        keeps_result: whether the result is kept in the table of results.
        told: makes of a part's error, its `stage` already the job's own, what the job says of it: a part that is
            shared knows no names of those who wait for it.
    """

    kind: str
    work: str
    settled: Settled = nothing
    keeps_result: bool = True
    told: Callable[[RowMapping, Mapping[str, Any]], Mapping[str, Any]] = unchanged


Handlers = Mapping[str, Handler]
