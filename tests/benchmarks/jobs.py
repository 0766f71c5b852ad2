"""How fast jobs go into the queue and out of it, with nothing to do in between, over each database.

python -m tests.benchmarks.jobs [JOBS] [WORKERS] [DEVICES]
"""

import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.arena import Arena, arena
from tests.chaos.servers import server


def rates(stage: Arena, jobs: int, workers: int, devices: int) -> tuple[float, float, float]:
    """Returns jobs a second that go in one after the other, that go in from four threads at once, that come out."""
    began = time.perf_counter()
    for number in range(jobs // 2):
        stage.submit(n=number)
    one = jobs // 2 / (time.perf_counter() - began)
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: stage.submit(f"tea_{number % 4}", n=number), range(jobs - jobs // 2)))
    four = (jobs - jobs // 2) / (time.perf_counter() - began)
    for _ in range(workers):
        stage.start(",".join(["cpu"] * devices))
    stage.ready(workers)
    before = jobs - stage.unfinished()
    began = time.perf_counter()
    stage.finish()
    return one, four, (jobs - before) / (time.perf_counter() - began)


def main(jobs: int = 500, workers: int = 2, devices: int = 4) -> None:
    """Prints a line a database."""
    print(f"{jobs} jobs that do nothing, each in a process of its own; {workers} workers with {devices} places")
    print(f"{'database':12}{'in, 1 thread':>14}{'in, 4 threads':>15}{'done':>10}   jobs a second")
    for kind in ("sqlite", "postgresql"):
        folder = Path(tempfile.mkdtemp(prefix="accord-jobs-"))
        with server(kind, folder) as database, arena(database.url, folder) as stage:
            one, four, out = rates(stage, jobs, workers, devices)
        shutil.rmtree(folder)
        print(f"{kind:12}{one:14.0f}{four:15.0f}{out:10.1f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
