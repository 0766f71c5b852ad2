"""Work that does as its payload says: what the engine's tests run in place of models."""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment.errors import RequestError
from app.jobs import Context, Done, Needs, Part


class HubUnreachableError(Exception):
    """An outage, by its name."""


def run(payload: Mapping[str, Any], context: Context) -> Done | Needs:
    """Sleeps `seconds` in steps, having noted in `log` that it began; then ends as `end` says."""
    if log := payload.get("log"):
        with Path(log).open("a") as file:
            file.write(f"{payload.get('name', '')} {os.getpid()}\n")
    if helper := payload.get("helper"):  # a process of its own, as a loader of data would be
        process = subprocess.Popen(["sleep", "60"])
        Path(helper).write_text(f"{process.pid}\n")
    if family := payload.get("family"):  # a process that has one of its own
        subprocess.Popen(["sh", "-c", f"sleep 60 & echo $$ $! > {family}; wait"])
    held = _held(payload.get("hold", 0), context.device)
    wanted = payload.get("parts", [])
    missing = [part for part in wanted if not Path(part["made"]).exists()]
    if missing:
        return Needs(
            tuple(Part("extraction", part["content"], part["role"], "extract", part["payload"]) for part in missing)
        )
    steps = max(1, round(payload.get("seconds", 0) / 0.1))
    for step in range(steps):
        context.progress("score", step, steps)
        if payload.get("seconds"):
            time.sleep(0.1)
    context.progress("score", steps, steps)
    match payload.get("end", "done"):
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "refuse":
            raise RequestError("it cannot be done as asked; ask otherwise")
        case "break":
            raise ValueError("a defect with a secret /srv/data/x")
        case "memory":
            raise MemoryError
        case "once":
            if not (mark := Path(payload["mark"])).exists():
                mark.touch()
                raise MemoryError
        case "nan":
            return Done({"n": float("nan")})
        case "full":
            if not Path(payload["mark"]).exists():
                raise OSError(errno.ENOSPC, "No space left on device", "/srv/data/x")
        case "outage":
            if not Path(payload["mark"]).exists():
                raise HubUnreachableError("the hub is away")
    if made := payload.get("made"):
        Path(made).touch()
    return Done({"n": payload.get("n"), "pid": os.getpid(), "device": context.device, "held": len(held)})


def _held(mebibytes: int, device: str) -> Any:
    """Memory that is taken, on a GPU if the device is one."""
    if not device.startswith("cuda"):
        return bytearray(b"1" * (mebibytes << 20))
    import torch

    return torch.ones(mebibytes << 20, dtype=torch.uint8, device=device)
