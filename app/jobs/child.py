"""Child: the process that does one job's work and nothing else. It says what it finds through a pipe, as JSON."""

from __future__ import annotations

import ctypes
import importlib
import json
import multiprocessing
import multiprocessing.process
import os
import resource
import signal
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from app.jobs.handler import Context, Done, Work

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_SAY_EVERY = 0.2  # seconds between two words on progress
PASSING = "passing"  # what failed may succeed if tried again
OUTAGE = "outage"  # what it depends on is away
FINAL = "final"  # the same again would fail again


def main(pipe: Connection) -> None:
    """Does the work that the order in the pipe names, and answers with messages, the last `done`, `needs` or `error`.

    It may be unwanted before it is there: then the pipe is closed and nothing is done.
    """
    _tie_to_worker()
    try:
        asked = json.loads(pipe.recv_bytes())
    except EOFError:
        return
    said = 0.0
    stage: str | None = None

    def progress(at: str, done: int, total: int) -> None:
        nonlocal said, stage
        now = time.monotonic()
        if at != stage or done >= total or now - said >= _SAY_EVERY:
            said, stage = now, at
            pipe.send_bytes(_spell({"progress": {"stage": at, "done": done, "total": total}}))

    context = Context(asked["device"], asked["settings"], progress)
    try:
        if asked["memory"]:
            # Of data, not of address space: what files and libraries are mapped to costs nothing yet.
            resource.setrlimit(resource.RLIMIT_DATA, (asked["memory"], asked["memory"]))
        if asked["threads"]:
            import torch

            torch.set_num_threads(asked["threads"])
        outcome = _work(asked["work"])(asked["payload"], context)
        message: dict[str, Any]
        message = {"done": outcome.result} if isinstance(outcome, Done) else {"needs": [vars(p) for p in outcome.parts]}
        said_last = _spell(message)
    except Exception as error:  # whatever it is, it is this job's end and not the worker's
        kind, detail = _explain(error)
        for secret, name in sorted(context.names.items(), key=lambda pair: -len(pair[0])):
            detail = detail.replace(secret, name)
        message = {"error": {"kind": kind, "stage": stage, "model": context.subject, "detail": detail}}
        if kind is not FINAL or not _is_ours(error):
            import traceback

            message["trace"] = traceback.format_exc()  # for the log alone
        said_last = _spell(message)
    pipe.send_bytes(said_last)
    pipe.close()


def _spell(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode()


def _tie_to_worker() -> None:
    """Leads a group of its own, which ends with the worker, even if that is killed."""
    os.setsid()
    # At once with the process that this one was forked from, which ends with the worker; if that went before this line
    # or hangs, and for what the work starts of its own, a thread that waits for the worker itself.
    ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    worker = multiprocessing.parent_process()
    if worker is not None:
        threading.Thread(target=_follow, args=(worker,), name="follow", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which then tells us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _follow(worker: multiprocessing.process.BaseProcess) -> None:
    worker.join()
    os.killpg(0, signal.SIGKILL)


def _work(place: str) -> Work:
    module, _, name = place.partition(":")
    work: Work = getattr(importlib.import_module(module), name)
    return work


def _is_ours(error: Exception) -> bool:
    from alignment.errors import AccordError

    return isinstance(error, AccordError)


def _explain(error: Exception) -> tuple[str, str]:
    """Returns whether trying again may help, and a sentence for whoever asked."""
    import errno

    from alignment.errors import RequestError, WorkError

    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"HubUnreachableError", "StoreFullError", "CacheFullError"}:
        return OUTAGE, str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OUTAGE, "the server's disk is full; it is tried again when there is room"
    if isinstance(error, MemoryError) or "OutOfMemoryError" in names:
        return PASSING, "there was not enough memory; take fewer samples or layers"
    if isinstance(error, RequestError | WorkError):
        return FINAL, str(error)
    if isinstance(error, OSError | ConnectionError | TimeoutError):
        return PASSING, f"a file or connection failed ({type(error).__name__})"
    return FINAL, f"the server made a mistake ({type(error).__name__}); its log says more"
