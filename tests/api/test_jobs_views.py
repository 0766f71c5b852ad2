"""A job as it is shown: what, to whom, and that what has ended is not sent twice."""

import pytest
import sqlalchemy as sa

from app.jobs import Part
from app.storage.tables import job_models, jobs, results
from app.teams import keys
from tests.api.conftest import PATH, Things


def test_a_queued_job_has_all_fields_of_the_contract(things: Things) -> None:
    job = things.make()
    answer = things.service.client.get(f"{PATH}/{job}")
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("created_at").endswith("Z")
    assert body == {
        "id": job,
        "status": "queued",
        "started_at": None,
        "finished_at": None,
        "attempts": 0,
        "progress": None,
        "request": {"probe": "p"},
        "error": None,
        "result": None,
    }
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_what_waits_for_parts_is_shown_as_running_and_found_as_running(things: Things) -> None:
    waiting, queued = things.make(), things.make()
    with things.service.database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == waiting).values(state="waiting"))
    get = things.service.client.get
    assert get(f"{PATH}/{waiting}").json()["status"] == "running"
    assert [item["id"] for item in get(PATH, params={"status": "running"}).json()["items"]] == [waiting]
    assert [item["id"] for item in get(PATH, params={"status": "queued"}).json()["items"]] == [queued]
    assert get(PATH, params={"status": "waiting"}).status_code == 422


def test_from_its_first_start_to_its_end_it_is_running_unless_it_is_to_be_tried_again(things: Things) -> None:
    job = things.make()
    get = things.service.client.get

    def status() -> str:
        shown = get(f"{PATH}/{job}").json()["status"]
        for asked in ("queued", "running"):
            found = [item["id"] for item in get(PATH, params={"status": asked}).json()["items"]]
            assert found == ([job] if asked == shown else [])
        return str(shown)

    part = Part("extraction", "c", "extract_a", "extract", {})
    assert things.ledger.park(things.claim(job), [part])
    with things.service.database.read() as connection:
        part_id = connection.execute(sa.select(jobs.c.id).where(jobs.c.content == "c")).scalar_one()
    error = {"stage": "extract", "model": None, "detail": "the hub is away"}
    assert things.ledger.retry(things.claim(part_id), error, -1, outage=True)
    assert status() == "running"
    things.recovery.retry_due()
    assert things.ledger.publish(things.claim(part_id), {})
    with things.service.database.read() as connection:
        assert connection.execute(sa.select(jobs.c.state).where(jobs.c.id == job)).scalar_one() == "queued"
    assert status() == "running"
    assert things.ledger.retry(things.claim(job), error, -1, outage=False)
    assert status() == "queued"
    things.recovery.retry_due()
    assert status() == "queued"
    things.finish(job)
    assert status() == "succeeded"


def test_a_result_is_shown_as_it_was_kept_and_then_only_said_to_be_unchanged(things: Things) -> None:
    job = things.make()
    things.finish(job, {"samples": 3, "name": "µ", "grid": [[0.1, None]]})
    get = things.service.client.get
    first = get(f"{PATH}/{job}")
    assert first.json()["status"] == "succeeded"
    assert first.json()["result"] == {"samples": 3, "name": "µ", "grid": [[0.1, None]]}
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = get(f"{PATH}/{job}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert get(f"{PATH}/{job}", headers={"If-None-Match": 'W/"0"'}).status_code == 200


def test_unchanged_is_said_without_reading_the_result(things: Things) -> None:
    job = things.make()
    things.finish(job)
    tag = things.service.client.get(f"{PATH}/{job}").headers["etag"]
    with things.service.database.write() as connection:
        connection.execute(results.delete())
    assert things.service.client.get(f"{PATH}/{job}", headers={"If-None-Match": tag}).status_code == 304


def test_a_failed_job_says_why(things: Things) -> None:
    job = things.make()
    things.ledger.fail(things.claim(job), {"stage": "score", "model": None, "detail": "take fewer samples"})
    body = things.service.client.get(f"{PATH}/{job}").json()
    assert (body["status"], body["result"]) == ("failed", None)
    assert body["error"] == {"stage": "score", "model": None, "detail": "take fewer samples"}


def test_no_payload_is_ever_shown(things: Things) -> None:
    job = things.make()
    get = things.service.client.get
    assert "/srv/x" not in get(f"{PATH}/{job}").text + get(PATH).text


@pytest.mark.parametrize("job", ["cmp_0", "x", "%00", "cmp_" + "0" * 26, "é" * 100])
def test_what_is_not_there_is_404(things: Things, job: str) -> None:
    for method, rest in (("GET", ""), ("POST", "/cancel"), ("GET", "/events")):
        answer = things.service.client.request(method, f"{PATH}/{job}{rest}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_shared_part_is_no_job_that_can_be_seen(things: Things) -> None:
    job = things.make()
    with things.service.database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == job).values(content="c" * 64))
    assert things.service.client.get(f"{PATH}/{job}").status_code == 404
    assert things.service.client.get(PATH).json()["items"] == []


def test_lists_are_newest_first_and_leave_the_result_out(things: Things) -> None:
    made = [things.make() for _ in range(3)]
    things.finish(made[0])
    items = things.service.client.get(PATH).json()["items"]
    assert [item["id"] for item in items] == made[::-1]
    assert all("result" not in item and item["request"] == {"probe": "p"} for item in items)


def test_pages_are_stable_under_inserts(things: Things) -> None:
    made = [things.make() for _ in range(5)]
    get = things.service.client.get
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = get(PATH, params=params).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        things.make()  # while somebody pages
    assert seen == made[::-1]


def test_limits_and_cursors_that_are_none_are_refused(things: Things) -> None:
    get = things.service.client.get
    for query in ("limit=0", "limit=201", "limit=x", "cursor=!", "cursor=AA", "status=done", "model="):
        answer = get(f"{PATH}?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["pointer"] == f"query/{query.partition('=')[0]}"


def test_a_list_of_a_model_is_of_its_id_even_when_it_is_gone(things: Things) -> None:
    model = "mdl_" + "0" * 26
    with_it, _ = things.make(models=(model, model)), things.make()
    assert [i["id"] for i in things.service.client.get(PATH, params={"model": model}).json()["items"]] == [with_it]
    with things.service.database.read() as connection:
        assert len(connection.execute(job_models.select()).all()) == 1
    answer = things.service.client.get(PATH, params={"model": "nobody"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/model")


def test_one_team_sees_nothing_of_another(things: Things) -> None:
    _, ours = keys.create(things.service.database, "ours", "runner")
    _, theirs = keys.create(things.service.database, "theirs", "admin")
    with things.service.database.read() as connection:
        known = keys.authenticate(connection, ours)
        assert known is not None
    job = things.make(known.team)
    client = things.service.client

    def ask(key: str, method: str, path: str) -> int:
        return client.request(method, path, headers={"Authorization": f"Bearer {key}"}).status_code

    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/events")):
        assert ask(theirs, method, f"{PATH}/{job}{path}") == 404
    assert ask(ours, "GET", f"{PATH}/{job}") == 200

    def listed(key: str, **params: str) -> int:
        answer = client.get(PATH, params=params, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        return len(answer.json()["items"])

    assert (listed(ours), listed(theirs)) == (1, 0)
    # A team's filter tells nobody which teams there are.
    assert (listed(ours, team="ours"), listed(ours, team=known.team), listed(ours, team="theirs")) == (1, 1, 0)
    assert (listed(theirs, team="ours"), listed(theirs, team="nobody")) == (0, 0)
