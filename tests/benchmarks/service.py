"""What the service itself takes: posts a second, how soon a finished comparison is read, and seconds beside the work.

python -m tests.benchmarks.service        SQLite; with TEST_DATABASE_URL, PostgreSQL

Everything runs on loopback and this machine's cores, the load's own process among them. Posts are counted twice: with
an API alone, as it is where workers have machines of their own, and with a worker that takes what is posted meanwhile.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.client import Client
from app.client.local import LocalService
from app.storage import Database
from app.storage.tables import jobs
from tests.benchmarks import load
from tests.databases import SERVER, fresh_url
from tests.small import register

POSTS = 2000
READS = 3000
ITEMS = 200
CONNECTIONS = 16


def main() -> None:
    kind = "PostgreSQL" if SERVER else "SQLite"
    rows = []
    with service(workers=False) as (client, address, url):
        alone = post(client, address, url, POSTS)
        rows.append(("posts a second, API alone", f"{alone:.0f}", "100" if kind == "SQLite" else "150"))
    with service(workers=True) as (client, address, url):
        job = finish(client, client.post("/v1/comparisons", BODY)["id"])
        overheads = sorted(overhead(client) for _ in range(9))
        rows.append(("seconds from POST to result, tiny and cached, median", f"{overheads[4]:.2f}", "1.5"))
        rows.append(("the same, largest of 9", f"{overheads[-1]:.2f}", ""))
        rows.append(("posts a second, a worker beside it", f"{post(client, address, url, 500):.0f}", ""))
        # Those jobs are under way meanwhile.
        read = load.run(address, [("GET", f"/v1/comparisons/{job['id']}", None, {})] * READS, CONNECTIONS)
        assert all(status == 200 for status, _ in read.answers)
        live = client.get("/v1/comparisons", status="running", limit=1)["items"]
        rows.append(
            ("GET of a finished comparison while jobs run, p99, ms", f"{1000 * read.percentile(0.99):.0f}", "100")
        )
        rows.append(("the same, median, ms", f"{1000 * read.percentile(0.5):.0f}", ""))
        rows.append(("the same, a second", f"{READS / read.seconds:.0f}", ""))
        assert live or client.get("/v1/comparisons", status="queued", limit=1)["items"], "no job ran meanwhile"
    print(f"{kind}, {CONNECTIONS} connections, {os.cpu_count()} cores")
    for what, value, bar in rows:
        print(f"| {what} | {value} | {bar} |")


BODY: dict[str, Any] = {
    "model_a": "a",
    "model_b": "b",
    "probe": "items",
    "layers": "last",
    "calibration": {"permutations": 20, "resamples": 0},
}


@contextmanager
def service(*, workers: bool) -> Iterator[tuple[Client, str, str]]:
    """Yields a client of a fresh service that knows what `BODY` names, its address, and its database's."""
    with tempfile.TemporaryDirectory() as place, fresh_url(Path(place)) as url:
        settings = {
            "ACCORD_DATABASE_URL": url,
            "ACCORD_DATA_DIR": place,
            "ACCORD_RATE_LIMIT": "10000000/minute",
            "ACCORD_MAX_QUEUED": "1000000",
            "ACCORD_LOG_LEVEL": "warning",
            "ACCORD_THREADS": "1",
        }
        with serve(Path(place), settings) if workers else api(settings) as address, Client(address) as client:
            register(client, Path(place), "ab", "items", ITEMS)
            yield client, address, url


@contextmanager
def serve(folder: Path, settings: dict[str, str]) -> Iterator[str]:
    with LocalService.start(folder, settings) as running:
        yield running.url


@contextmanager
def api(settings: dict[str, str]) -> Iterator[str]:
    given = {**os.environ, **settings}
    subprocess.run([sys.executable, "-m", "app.cli", "migrate"], env=given, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "app.cli", "api", "--port", "0"]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def post(client: Client, address: str, url: str, count: int) -> float:
    """Returns how many comparisons are accepted a second; each of them must be in the database."""
    requests = [("POST", "/v1/comparisons", {**BODY, "seed": seed}, {}) for seed in range(1, count + 1)]
    made = load.run(address, requests, CONNECTIONS)
    ids = [json.loads(body)["id"] for status, body in made.answers if status == 202]
    assert len(ids) == count, sorted({(status, body[:200]) for status, body in made.answers if status != 202})[:3]
    database = Database(url)
    with database.read() as connection:
        found = set(connection.execute(sa.select(jobs.c.id).where(jobs.c.kind == "comparison")).scalars())
    database.close()
    assert found >= set(ids), "some are lost"
    return count / made.seconds


def overhead(client: Client) -> float:
    started = time.perf_counter()
    finish(client, client.post("/v1/comparisons", BODY)["id"])
    return time.perf_counter() - started


def finish(client: Client, job: str) -> Any:
    while (state := client.get(f"/v1/comparisons/{job}"))["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.01)
    assert state["status"] == "succeeded", state["error"]
    return state


if __name__ == "__main__":
    main()
