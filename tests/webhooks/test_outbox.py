"""A job that ends tells whoever asked, in the transaction that ends it."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from app.jobs import Engine, Handler, Ledger, NewJob
from app.jobs.claim import Claim
from app.storage import Database
from app.storage.tables import deliveries, jobs, workers
from app.webhooks import settle, summary

BEST = {"layer_a": "l.1", "layer_b": "l.2", "score": 0.31, "calibrated": 0.3, "p_value": 0.005, "interval": [0.2, 0.4]}
RESULT = {
    "samples": 4,
    "metrics": [{"key": "mutual_knn", "grid": [[0.31]], "best": BEST}, {"key": "cka", "best": None}],
}


@pytest.fixture
def ledger(database: Database) -> Any:
    engine = Engine(database)
    with database.write() as connection:
        now = database.now()
        connection.execute(
            workers.insert().values(
                id="wrk_1", host="h", pid=1, devices=[], queues=[], state="alive", started_at=now, beat_at=now
            )
        )
    yield Ledger(database, engine, {"comparison": Handler("comparison", "no:work", settle)})
    engine.close()


def begin(ledger: Ledger, url: str | None = "https://example.org/h") -> Claim:
    engine_queue = "score"
    ledger.engine.open([engine_queue], 8)
    with ledger.database.write() as connection:
        row = ledger.submit(connection, NewJob("comparison", "tea_1", engine_queue, {}, {}, webhook_url=url))
    claim = ledger.claim(row["id"], "wrk_1")
    assert claim is not None
    return claim


def written(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [
            {**row, "body": json.loads(row["body"])} for row in connection.execute(sa.select(deliveries)).mappings()
        ]


def test_success_is_told_with_the_scores(database: Database, ledger: Ledger) -> None:
    claim = begin(ledger)
    assert ledger.publish(claim, RESULT)
    (row,) = written(database)
    body = row["body"]
    assert (row["event"], row["url"], row["state"], row["team_id"]) == (
        "comparison.succeeded",
        "https://example.org/h",
        "pending",
        "tea_1",
    )
    assert body["scores"]["mutual_knn"] == {key: value for key, value in BEST.items() if key != "interval"}
    assert body["scores"]["cka"]["score"] is None
    assert body["url"] == f"/v1/comparisons/{claim.job_id}"
    assert body["created_at"].endswith("Z")
    assert set(body) == {"event", "id", "status", "created_at", "finished_at", "url", "scores"}


def test_failure_is_told_with_its_cause_and_cancelling_without(database: Database, ledger: Ledger) -> None:
    error = {"stage": "score", "model": None, "detail": "take fewer samples"}
    ledger.fail(begin(ledger), error)
    claim = begin(ledger)
    with database.write() as connection:
        ledger.cancel(connection, claim.job_id)
        ledger.cancel(connection, claim.job_id)
    failed, cancelled = sorted(written(database), key=lambda row: row["event"], reverse=True)
    assert (failed["event"], failed["body"]["error"]) == ("comparison.failed", error)
    assert cancelled["event"] == "comparison.cancelled"
    assert "error" not in cancelled["body"]


def test_nobody_is_told_who_did_not_ask(database: Database, ledger: Ledger) -> None:
    ledger.publish(begin(ledger, None), RESULT)
    assert written(database) == []


def test_whoever_loses_a_job_tells_nothing(database: Database, ledger: Ledger) -> None:
    claim = begin(ledger)
    with database.write() as connection:
        connection.execute(jobs.update().values(fence=jobs.c.fence + 1))
    assert not ledger.publish(claim, RESULT)
    assert written(database) == []


def test_a_study_is_told_by_the_mean_over_pairs_of_different_models() -> None:
    result = {"metrics": [{"key": "cka", "matrix": [[1.0, 0.2, 0.4], [0.2, 1.0, None], [0.4, None, 1.0]]}]}
    assert summary("study", result)["cka"]["score"] == pytest.approx(0.3)
    assert summary("training", {"models": {}}) == {}
