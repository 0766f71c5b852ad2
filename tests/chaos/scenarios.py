"""What may go wrong with workers, each as a function of how much of it there is, which returns what was counted."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.storage.database import is_outage
from tests.chaos.arena import Arena, Stopwatch
from tests.chaos.servers import Server
from tests.chaos.worker_main import GRACE, LEASE
from tests.processes import eventually, is_running

Figures = dict[str, float]


def killed_at_random(arena: Arena, *, jobs: int, kills: int, seconds: float = 0.5) -> Figures:
    """Workers that have jobs in hand are killed with SIGKILL at random moments, and others put in their place."""
    chance = random.Random(7)
    arena.staff(2)
    watch = Stopwatch()
    for number in range(jobs):
        arena.submit(n=number, seconds=seconds)
    done = 0
    while done < kills and arena.unfinished():
        time.sleep(chance.uniform(0, 2 * seconds))
        if busy := arena.busy():
            arena.kill(chance.choice(busy))
            arena.start()
            done += 1
    arena.finish()
    took = watch.seconds
    eventually(lambda: not arena.orphans())
    return {**arena.outcome(), "kills": done, "seconds": took}


def taken_over(arena: Arena, *, times: int) -> Figures:
    """The worker that does a job is killed; another has it in hand before long, and no child is left."""
    worst = worst_child = 0.0
    arena.staff(2)
    for number in range(times):
        arena.ready(2, seasoned=True)
        job_id = arena.submit(n=number, seconds=1)
        eventually(lambda job_id=job_id: arena.row(job_id)["progress"], pause=0.02)
        first = arena.row(job_id)["worker_id"]
        child = arena.children()[-1]
        arena.kill(arena.worker_of(job_id))
        watch = Stopwatch()
        eventually(lambda child=child: child not in arena.orphans(), pause=0.02)
        worst_child = max(worst_child, watch.seconds)
        eventually(lambda job_id=job_id, first=first: arena.row(job_id)["worker_id"] not in (None, first), pause=0.02)
        worst = max(worst, watch.seconds)
        arena.start()
    arena.finish()
    return {**arena.outcome(), "takeover": worst, "orphan": worst_child, "lease": LEASE}


def frozen(arena: Arena, *, times: int) -> Figures:
    """A worker is frozen past its lease while its child works on, and woken when another has published."""
    arena.staff(2)
    for number in range(times):
        arena.ready(2, seasoned=True)
        job_id = arena.submit(n=number, seconds=1)
        eventually(lambda job_id=job_id: arena.row(job_id)["progress"], pause=0.02)
        sleeper = arena.worker_of(job_id)
        sleeper.send_signal(signal.SIGSTOP)
        eventually(lambda job_id=job_id: arena.state(job_id) == "succeeded")
        published = arena.row(job_id)
        sleeper.send_signal(signal.SIGCONT)
        eventually(lambda number=number: arena.said("declared dead while frozen") > number)
        arena.ready(2)
        assert arena.row(job_id) == published
    return {**arena.outcome(), "woken": arena.said("declared dead while frozen")}


def drained(arena: Arena, *, jobs: int, devices: int = 3) -> Figures:
    """Two workers with a few places each drain a long queue."""
    watch = Stopwatch()
    for number in range(jobs):
        arena.submit(f"tea_{number % 5}", n=number)
    asked = watch.seconds
    for _ in range(2):
        arena.start(",".join(["cpu"] * devices))
    watch = Stopwatch()
    arena.finish()
    took = watch.seconds
    return {**arena.outcome(), "enqueued/s": round(jobs / asked), "drained/s": round(jobs / took, 1), "seconds": took}


def database_away(arena: Arena, server: Server, *, seconds: float, jobs: int = 6) -> Figures:
    """The database goes while jobs run, wait and are asked for, and comes back after longer than a lease."""
    arena.staff(2)
    arena.ready(2, seasoned=True)
    made = [arena.submit(n=number, seconds=2) for number in range(jobs)]
    eventually(lambda: sum(arena.state(job_id) == "running" for job_id in made) == 2)
    server.take_away()
    arena.database.engine.dispose()
    time.sleep(seconds)
    server.give_back()
    watch = Stopwatch()
    eventually(lambda: _answers(lambda: arena.submit(n=jobs)))
    arena.finish()
    losses = sum(int(arena.row(job_id)["losses"]) for job_id in made)
    return {**arena.outcome(), "away": seconds, "losses": losses, "seconds": watch.seconds}


def stopped_while_away(arena: Arena, server: Server) -> Figures:
    """A worker is told to stop while the database is away: it goes, and its job is taken over later."""
    worker = arena.start()
    arena.ready(1)
    job_id = arena.submit(n=1, seconds=GRACE + 2)
    eventually(lambda: arena.state(job_id) == "running")
    server.take_away()
    worker.terminate()
    watch = Stopwatch()
    eventually(lambda: worker.poll() is not None)
    took = watch.seconds
    arena.fleet.remove(worker)
    server.give_back()
    arena.start()
    arena.finish()
    return {**arena.outcome(), "seconds": took}


def made_anew(arena: Arena) -> Figures:
    """The database is made anew under a worker, which becomes a worker of the new one."""
    arena.staff(1)
    arena.ready(1)
    job_id = arena.submit(n=1, seconds=60)
    eventually(lambda: arena.row(job_id)["progress"])
    child = arena.children()[-1]
    arena.database.migrate("base")
    arena.database.migrate()
    arena.ready(1)
    eventually(lambda: not is_running(child))
    arena.submit(n=2)
    arena.finish()
    return arena.outcome()


def disk_full(arena: Arena) -> Figures:
    """The disk is full and is not any more: the row says so, then it goes on by itself."""
    mark = Path(arena.folder) / "room"
    arena.staff(1)
    job_id = arena.submit(n=1, end="full", mark=str(mark))
    eventually(lambda: arena.row(job_id)["error"])
    row = arena.row(job_id)
    assert row["state"] == "queued"
    assert "disk is full" in row["error"]["detail"]
    other = arena.submit(n=2)
    eventually(lambda: arena.state(other) == "succeeded")  # the queue goes on meanwhile
    mark.touch()
    watch = Stopwatch()
    arena.finish()
    row = arena.row(job_id)
    assert row["error"] is None
    return {**arena.outcome(), "attempts": row["attempts"], "seconds": watch.seconds}


def told_to_stop(arena: Arena) -> Figures:
    """SIGTERM: what ends within the grace is ended, what does not is given back, and another worker does it."""
    arena.staff(2)
    arena.ready(2)
    short, long = arena.submit(n=1, seconds=1), arena.submit(n=2, seconds=GRACE + 2)
    eventually(lambda: arena.row(short)["progress"] and arena.row(long)["progress"])  # their processes are at work
    stopped = arena.worker_of(long), arena.worker_of(short)
    for worker in stopped:
        worker.terminate()
    watch = Stopwatch()
    for worker in stopped:
        assert worker.wait(120) == 0
    took = watch.seconds
    first, second = arena.row(short), arena.row(long)
    assert (first["state"], first["fence"]) == ("succeeded", 1)
    assert (second["state"], second["attempts"], second["losses"]) == ("queued", 0, 0)
    arena.fleet.clear()
    arena.start()
    watch = Stopwatch()
    eventually(lambda: arena.state(long) == "running")
    taken = watch.seconds
    arena.finish()
    return {**arena.outcome(), "stopped": took, "takeover": taken}


def told_to_stop_while_loading(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> Figures:
    """SIGTERM while a job's process is yet to be forked: it goes back, and no worker counts as lost under it."""
    loaded = Path(arena.folder) / "loaded"
    monkeypatch.setenv("LOADED", str(loaded))
    worker = arena.start()
    job_id = arena.submit(n=1)
    eventually(lambda: arena.state(job_id) == "running")
    worker.terminate()
    watch = Stopwatch()
    assert worker.wait(120) == 0
    took = watch.seconds
    arena.fleet.clear()
    row = arena.row(job_id)
    assert (row["state"], row["worker_id"], row["attempts"], row["losses"]) == ("queued", None, 0, 0)
    assert not arena.children()
    loaded.touch()
    arena.start()
    arena.finish()
    assert (arena.row(job_id)["attempts"], arena.row(job_id)["losses"]) == (1, 0)
    return {**arena.outcome(), "stopped": took}


def told_to_stop_one_and_all(arena: Arena) -> Figures:
    """SIGTERM to a worker and to every process of it, as a service manager sends it: what it has in hand goes back."""
    worker = arena.start()
    job_id = arena.submit(n=1, seconds=GRACE + 2)
    eventually(lambda: arena.row(job_id)["progress"])
    family = arena.family(worker.pid)
    assert set(arena.children()) < family
    for pid in family:
        os.kill(pid, signal.SIGTERM)
    assert worker.wait(120) == 0
    arena.fleet.clear()
    row = arena.row(job_id)
    assert (row["state"], row["worker_id"], row["attempts"], row["losses"]) == ("queued", None, 0, 0)
    arena.start()
    arena.finish()
    return arena.outcome()


def _answers(step: Callable[[], object]) -> bool:
    try:
        step()
    except Exception as error:
        if not is_outage(error):
            raise
        return False
    return True
