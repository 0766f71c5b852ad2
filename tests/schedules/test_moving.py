"""A schedule follows a model of the hub: which commit was measured, by how many forward passes, and the hub away."""

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch
import transformers as hf

from app.jobs import Context, Done
from app.jobs.child import _explain
from app.jobs.executor import Order, Run
from app.jobs.supervisor import Limits, Supervisor
from app.storage import Database
from app.storage.tables import counters, jobs
from app.worker import for_work
from tests.hub import HubServer
from tests.models.conftest import TEXT, tokenizer
from tests.schedules.conftest import Desk, desk  # noqa: F401 - a fixture, over this module's own service
from tests.service import Said, Service, serve

ITEMS = 24


def bert(folder: Path, seed: int) -> Path:
    """Saves a tiny BERT with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hf.AutoModel.from_config(TEXT["bert"]()).save_pretrained(folder)
    tokenizer("bert", "right").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [bert(tmp_path_factory.mktemp("bert"), seed) for seed in range(3)]


@pytest.fixture
def hub(checkpoints: list[Path]) -> Iterator[HubServer]:
    made = HubServer()
    made.model("org/moving").push(checkpoints[0])
    made.model("org/still").push(checkpoints[2])
    texts = [" ".join(f"w{5 + (i * 7 + k * k) % 59}" for k in range(1 + i % 9)) for i in range(ITEMS)]
    made.dataset("org/texts").push({"test.jsonl": "".join(json.dumps({"text": t}) + "\n" for t in texts).encode()})
    yield made
    made.stop()


@pytest.fixture
def service(tmp_path: Path, database: Database, hub: HubServer) -> Iterator[Service]:
    made = serve(tmp_path, database, hub_endpoint=hub.url)
    with made.client:
        yield made


class Here:
    """An executor that does a job's work at once, in this process."""

    def start(self, order: Order) -> Run:
        module, _, name = order.work.partition(":")
        context = Context(order.device, order.settings, lambda *_: None)
        message: Mapping[str, Any]
        try:
            outcome = getattr(importlib.import_module(module), name)(order.payload, context)
            parts = [] if isinstance(outcome, Done) else [vars(part) for part in outcome.parts]
            message = {"done": outcome.result} if isinstance(outcome, Done) else {"needs": parts}
        except Exception as error:
            kind, detail = _explain(error)
            message = {"error": {"kind": kind, "stage": None, "model": context.subject, "detail": detail}}
        return Said(message)

    def warm(self) -> None:
        pass


@pytest.fixture
def worker(service: Service, desk: Desk) -> Supervisor:  # noqa: F811
    """A real supervisor, whose worker the desk has entered."""
    limits = Limits(60, 3, 2.0, 600.0)
    return Supervisor(desk.state.ledger, Here(), "wrk_hand", ["cpu"], limits, for_work(service.settings))


@pytest.fixture
def schedule(service: Service, desk: Desk) -> str:  # noqa: F811
    """One that compares the two models of the hub, neither with a revision."""
    for name in ("moving", "still"):
        source = {"type": "huggingface", "id": f"org/{name}"}
        assert service.client.post("/v1/models", json={"name": name, "source": source}).status_code == 201
    source = {"type": "huggingface", "id": "org/texts"}
    answer = service.client.post("/v1/probes", json={"name": "texts", "source": source})
    assert answer.status_code == 201, answer.text
    asked = {"model_a": "moving", "model_b": "still", "probe": "texts", "calibration": {"permutations": 19}}
    return str(desk.make(comparison=asked)["id"])


def work_off(service: Service, worker: Supervisor) -> None:
    for _ in range(20):
        with service.database.read() as connection:
            ready = sa.select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.retry_at.is_(None)).limit(1)
            job = connection.execute(ready).scalar_one_or_none()
        if job is None:
            return
        worker.run(job)
    raise AssertionError("work that does not end")


def forward_items(service: Service) -> float:
    with service.database.read() as connection:
        asked = sa.select(sa.func.sum(counters.c.value)).where(counters.c.name == "accord_forward_items")
        return float(connection.execute(asked).scalar_one() or 0)


def test_the_history_says_which_commit_and_what_is_unchanged_is_not_run_again(
    service: Service,
    desk: Desk,  # noqa: F811
    worker: Supervisor,
    hub: HubServer,
    schedule: str,
    checkpoints: list[Path],
) -> None:
    repository = hub.model("org/moving")
    commits, passes = [], []

    def run() -> None:
        commits.append(repository.refs["main"])
        before = forward_items(service)
        desk.again(schedule)
        work_off(service, worker)
        passes.append(forward_items(service) - before)

    run()
    run()  # nothing has changed
    repository.push(checkpoints[1])
    run()  # of the moved one alone
    runs = service.client.get(f"/v1/schedules/{schedule}/runs").json()["items"][::-1]
    assert [one["outcome"] for one in runs] == ["succeeded"] * 3, runs
    assert [one["models"]["a"]["commit"] for one in runs] == commits
    assert len(set(commits)) == 2
    assert len({one["models"]["b"]["commit"] for one in runs}) == 1
    assert passes == [2 * ITEMS, 0, ITEMS]
    assert runs[0]["scores"] == runs[1]["scores"] != runs[2]["scores"]
    assert runs[0]["models"]["a"]["fingerprint"] != runs[2]["models"]["a"]["fingerprint"]
    filled = service.client.get("/v1/models?name=moving").json()["items"][0]
    assert (filled["modality"], filled["poolings"]) == ("text", ["mean", "last", "cls", "max"])
    result = service.client.get(f"/v1/comparisons/{runs[2]['job']}").json()["result"]
    assert result["provenance"]["model_a"]["reference"] == f"hf:org/moving@{commits[2]}"
    assert result["provenance"]["probe"] == f"hf:org/texts@{hub.dataset('org/texts').refs['main']}:test"


def test_a_job_waits_for_a_hub_that_is_away_and_says_so(
    service: Service,
    desk: Desk,  # noqa: F811
    worker: Supervisor,
    hub: HubServer,
    schedule: str,
) -> None:
    hub.stop()
    desk.again(schedule)
    work_off(service, worker)
    job = desk.runs(schedule)[-1]["job_id"]
    shown = service.client.get(f"/v1/comparisons/{job}").json()
    assert (shown["status"], shown["attempts"], shown["finished_at"]) == ("queued", 0, None)
    assert shown["error"]["model"] == "moving"
    assert "hf:org/moving cannot be reached" in shown["error"]["detail"]
    hub.start()
    _due(service)
    with service.database.read() as connection:
        asked = sa.select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.retry_at.is_(None))
        assert connection.execute(asked).scalars().all() == [job]
    worker.run(job)  # both commits are known, and the hub goes away before a model is downloaded
    hub.stop()
    work_off(service, worker)
    shown = service.client.get(f"/v1/comparisons/{job}").json()
    assert shown["status"] == "running"  # it waits for its parts, one of which is to be tried again
    assert shown["error"]["model"] in ("moving", "still")
    assert "cannot be reached" in shown["error"]["detail"]
    assert "(the model)" not in json.dumps(shown)
    hub.start()
    _due(service)
    work_off(service, worker)
    shown = service.client.get(f"/v1/comparisons/{job}").json()
    assert (shown["status"], shown["error"]) == ("succeeded", None)
    assert desk.outcomes(schedule) == ["succeeded"]


def _due(service: Service) -> None:
    """Lets the time come at which what failed for now is tried again."""
    with service.database.write() as connection:
        later = jobs.update().where(jobs.c.retry_at.is_not(None)).values(retry_at=None).returning(jobs.c.id)
        assert connection.execute(later).all()
