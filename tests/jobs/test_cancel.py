"""A running job that is cancelled gives back all that it took: processes, memory, its device."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from app.jobs.executor import LocalExecutor
from app.jobs.supervisor import Supervisor
from tests.jobs.conftest import Bench
from tests.jobs.test_supervisor import Apart, begun, executor, supervised
from tests.processes import eventually, is_running

__all__ = ["executor"]
SECONDS = 1.0  # from the row's `cancelled` to the end of the last process
TIMES = 5  # a machine that does other things may be late now and then
MIB = 1 << 20
HOLD = 200  # MiB


@pytest.fixture
def supervisor(bench: Bench, executor: LocalExecutor) -> Iterator[Supervisor]:
    yield from supervised(bench, executor)


def began(bench: Bench, supervisor: Supervisor, folder: Path, hold: int = 0) -> tuple[Apart, str, set[int]]:
    """A job at work with processes of its own, and all of those."""
    for name in ("log", "family"):
        (folder / name).unlink(missing_ok=True)
    log, family = folder / "log", folder / "family"
    job_id = bench.submit(seconds=60, log=str(log), family=str(family), hold=hold)
    run, child = Apart(supervisor, job_id), begun(log)
    eventually(lambda: family.exists() and family.read_text().endswith("\n"))
    pids = {child, *map(int, family.read_text().split())}
    eventually(lambda: bench.row(job_id)["progress"])
    assert len(pids) == 3
    assert all(is_running(pid) for pid in pids)
    return run, job_id, pids


def resident() -> int:
    """Bytes of memory that the processes below this one have."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def test_all_its_processes_are_gone_within_a_second_and_the_next_has_its_device(
    bench: Bench, supervisor: Supervisor, tmp_path: Path
) -> None:
    took: list[float] = []
    while not took or (min(took) >= SECONDS and len(took) < TIMES):
        run, job_id, pids = began(bench, supervisor, tmp_path)
        waiting = bench.submit(n=1)
        assert bench.cancel(job_id)
        eventually(lambda pids=pids: not any(is_running(pid) for pid in pids), pause=0.01)
        took.append(bench.database.moment() - bench.row(job_id)["finished_at"])
        run.ends()
        assert (bench.state(job_id), supervisor.free()) == ("cancelled", 1)
        supervisor.run(waiting)
        assert bench.state(waiting) == "succeeded"
    assert min(took) < SECONDS


def test_a_device_is_free_no_sooner_than_all_that_used_it_is_gone(
    bench: Bench, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a job's process began may hold on to a device for longer than that itself."""
    run, job_id, pids = began(bench, supervisor, tmp_path)
    child = begun(tmp_path / "log")
    real, seen = os.killpg, []

    def slowly(group: int, number: int) -> None:
        def late() -> None:
            seen.append(supervisor.free())
            real(group, number)

        os.kill(child, number)
        threading.Timer(0.5, late).start()

    monkeypatch.setattr(os, "killpg", slowly)
    bench.cancel(job_id)
    run.ends()
    assert not any(is_running(pid) for pid in pids)
    assert (seen, supervisor.free()) == ([0], 1)


def test_its_memory_is_given_back(bench: Bench, supervisor: Supervisor, tmp_path: Path) -> None:
    first, *_ = began(bench, supervisor, tmp_path)  # whatever is loaded once is loaded then
    supervisor.stopping.set()
    first.ends()
    supervisor.stopping.clear()
    before = resident()
    run, job_id, _ = began(bench, supervisor, tmp_path, HOLD)
    assert resident() >= before + HOLD * MIB
    assert bench.cancel(job_id)
    run.ends()
    assert resident() <= before + HOLD * MIB // 10


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_its_device_memory_is_given_back(bench: Bench, executor: LocalExecutor, tmp_path: Path) -> None:
    for supervisor in supervised(bench, executor, devices=["cuda:0"]):
        before = free_bytes()
        run, job_id, _ = began(bench, supervisor, tmp_path, HOLD)
        assert free_bytes() <= before - HOLD * MIB
        assert bench.cancel(job_id)
        run.ends()
        assert free_bytes() >= before - HOLD * MIB // 10
        supervisor.run(again := bench.submit(hold=HOLD))
        assert bench.state(again) == "succeeded"


def free_bytes() -> int:
    """Bytes of the device that nobody has, asked by a process that ends: this one must hold none of it."""
    code = "import torch; print(torch.cuda.mem_get_info(0)[0])"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
