"""From a comparison that asks to be told to a receiver that checks who told it, over HTTP on both sides."""

import hashlib
import hmac
import json
from pathlib import Path

from app.kinds import chores
from app.storage import Database
from app.webhooks.courier import Courier
from app.webhooks.post import sender
from tests.service import Service, serve
from tests.webhooks.receiver import Receiver

COMPARISON = {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:emoji"}


def test_a_cancelled_comparison_is_told_signed(tmp_path: Path, database: Database, receiver: Receiver) -> None:
    service = serve(tmp_path, database, allow_private_webhooks=True)
    with service.client as client:
        secret = client.post("/v1/webhook-secret").json()["secret"]
        made = client.post("/v1/comparisons", json={**COMPARISON, "webhook_url": receiver.url()}).json()
        for _ in range(2):
            assert client.post(f"/v1/comparisons/{made['id']}/cancel").status_code == 202
        courier = Courier(database, sender(private=True))
        for _ in range(2):
            courier.run()
            courier.wait()
        ((_, headers, body),) = receiver.got
        (shown,) = client.get("/v1/deliveries").json()["items"]
    moment, digest = (part.partition("=")[2] for part in headers["accord-signature"].split(","))
    assert digest == hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["event"], told["id"], told["status"]) == ("comparison.cancelled", made["id"], "cancelled")
    assert told["url"] == f"/v1/comparisons/{made['id']}"
    assert (shown["id"], shown["status"], shown["resource"]) == (headers["accord-delivery"], "delivered", made["id"])


def test_a_private_address_is_refused_when_it_is_given(service: Service) -> None:
    answer = service.client.post("/v1/comparisons", json={**COMPARISON, "webhook_url": "http://127.0.0.1:1/"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/webhook_url"
    assert service.client.get("/v1/comparisons").json()["items"] == []


def test_workers_deliver_and_look_at_schedules(service: Service) -> None:
    made = chores(service.settings, service.database)(service.app.state.accord.ledger)
    assert {"deliver webhooks", "forget deliveries", "run schedules"} <= {chore.name for chore in made}
