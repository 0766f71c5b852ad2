"""The team's secret, and what became of its webhooks, over HTTP."""

import sqlalchemy as sa

from app.storage.tables import audit, teams
from app.teams import keys
from app.webhooks import enqueue
from tests.service import Service


def bearer(service: Service, team: str, role: str) -> dict[str, str]:
    _, key = keys.create(service.database, team, role)
    return {"Authorization": f"Bearer {key}"}


def test_a_secret_is_made_and_replaced_by_an_admin_alone(service: Service) -> None:
    admin, runner = bearer(service, "a", "admin"), bearer(service, "a", "runner")
    assert service.client.post("/v1/webhook-secret", headers=runner).status_code == 403
    first = service.client.post("/v1/webhook-secret", headers=admin)
    assert first.status_code == 201
    second = service.client.post("/v1/webhook-secret", headers={**admin, "Idempotency-Key": "k"})
    again = service.client.post("/v1/webhook-secret", headers={**admin, "Idempotency-Key": "k"})
    assert first.json()["secret"] != second.json()["secret"] == again.json()["secret"]
    with service.database.read() as connection:
        kept = connection.execute(sa.select(teams.c.webhook_secret).where(teams.c.name == "a")).scalar_one()
        noted = connection.execute(sa.select(audit).where(audit.c.action == "webhook_secret.create")).mappings().all()
    assert kept == second.json()["secret"]
    assert len(noted) == 2
    assert kept not in str(noted)


def test_deliveries_are_listed_for_their_team(service: Service) -> None:
    ours, theirs = bearer(service, "a", "reader"), bearer(service, "b", "reader")
    with service.database.write() as connection:
        team = keys.ensure_team(service.database, connection, "a")
        for number in range(3):
            enqueue(
                connection,
                team=team,
                url="https://example.org/",
                event="comparison.failed",
                content={"id": f"cmp_{number}"},
                at=1_800_000_000.0,
            )
    page = service.client.get("/v1/deliveries?limit=2&status=pending", headers=ours).json()
    rest = service.client.get(f"/v1/deliveries?cursor={page['next_cursor']}", headers=ours).json()
    assert [item["resource"] for item in page["items"] + rest["items"]] == ["cmp_2", "cmp_1", "cmp_0"]
    assert page["items"][0]["created_at"] == "2027-01-15T08:00:00Z"
    assert service.client.get("/v1/deliveries?status=given_up", headers=ours).json()["items"] == []
    assert service.client.get("/v1/deliveries", headers=theirs).json()["items"] == []
    assert service.client.get("/v1/deliveries?status=lost", headers=ours).status_code == 422
    assert service.client.get("/v1/deliveries").status_code == 401
