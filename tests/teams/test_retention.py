"""The audit is kept for so long; who made what is still there, for as long as that is."""

import sqlalchemy as sa

from app.storage.tables import audit, models
from app.teams.retention import forget
from tests.service import Service

DAY = 24 * 3600.0


def test_old_notes_go_and_who_made_what_is_there_stays(service: Service) -> None:
    made = [
        service.client.post("/v1/models", json={"name": name, "source": {"type": "builtin", "id": "minilm-l6"}}).json()
        for name in ("kept", "gone", "new")
    ]
    assert service.client.delete(f"/v1/models/{made[1]['id']}").status_code == 204
    with service.database.write() as connection:  # as if it had been long ago
        number = 0
        for row in connection.execute(sa.select(audit.c.id, audit.c.resource)).all():
            if row.resource != made[2]["id"]:
                number += 1
                connection.execute(
                    audit.update().where(audit.c.id == row.id).values(id=f"aud_{number:026d}", at=1000.0 + number)
                )
    assert forget(service.database, 730 * DAY) == 2  # that one was made and deleted
    with service.database.read() as connection:
        left = connection.execute(sa.select(audit.c.action, audit.c.resource).order_by(audit.c.id)).all()
    assert [tuple(row) for row in left] == [("model.create", made[0]["id"]), ("model.create", made[2]["id"])]
    with service.database.write() as connection:
        connection.execute(models.update().where(models.c.id == made[0]["id"]).values(deleted_at=1.0))
    assert forget(service.database, 730 * DAY) == 1
