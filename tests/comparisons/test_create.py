"""POST /v1/comparisons: every default filled in, everything refused that can be, once however often it is sent."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from alignment.comparison import Scoring
from alignment.errors import RequestError
from alignment.metrics import METRICS, MetricChoice, find_shortage, parse_metrics
from app.comparisons import service as comparisons
from app.comparisons.schemas import NewComparison
from app.jobs.handler import Task, queues_of
from app.problems import Problem
from app.storage.tables import audit, job_models, jobs, workers
from app.teams import keys
from app.teams.principal import Principal
from tests.comparisons.conftest import ITEMS, Registered
from tests.service import Service, serve

PATH = "/v1/comparisons"
Body = dict[str, Any]


def _count(service: Service, table: sa.Table = jobs) -> int:
    with service.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _refused(service: Service, body: Body) -> dict[str, Any]:
    answer = service.client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert _count(service) == 0
    found: dict[str, Any] = answer.json()
    return found


def test_only_models_and_a_probe_set_are_required(service: Service, body: Body) -> None:
    answer = service.client.post(PATH, json=body)
    assert answer.status_code == 202
    made = answer.json()
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert made["id"].startswith("cmp_")
    assert (made["status"], made["result"], made["attempts"]) == ("queued", None, 0)
    assert made["request"] == {
        "model_a": "one",
        "model_b": "two",
        "probe": "texts",
        "metrics": [{"name": "mutual_knn", "params": {"k": 10}}],
        "layers": "all",
        "pooling": {"a": "mean", "b": "mean"},
        "dtype": "auto",
        "device": "auto",
        "preprocess": {"clip": 0.95, "normalize": True},
        "samples": 1024,
        "seed": 0,
        "calibration": {"permutations": 200, "resamples": 200, "level": 0.95},
        "priority": 5,
        "webhook_url": None,
    }
    assert service.client.get(answer.headers["location"]).json() == made


def test_what_is_shown_can_be_posted_again_and_gives_the_same(service: Service, body: Body) -> None:
    asked = {
        **body,
        "metrics": ["mutual_knn", {"name": "cka", "params": {"kernel": "rbf"}}, "rsa:correlation=pearson"],
        "layers": {"a": ["layer.1", -1], "b": "last"},
        "pooling": "max",
        "preprocess": {"clip": None},
        "samples": 20,
        "priority": 1,
    }
    first = service.client.post(PATH, json=asked).json()["request"]
    assert first["layers"] == {"a": ["layer.1", -1], "b": "last"}
    assert first["metrics"][1:] == [
        {"name": "cka", "params": {"kernel": "rbf", "bandwidth": 1.0}},
        {"name": "rsa", "params": {"correlation": "pearson", "dissimilarity": "sqeuclidean"}},
    ]
    assert service.client.post(PATH, json=first).json()["request"] == first


@pytest.mark.parametrize("metrics", ["all", ["svcca", "mutual_knn"], ["cka", "mutual_knn:k=10"], ["cka", "cknna:k=2"]])
def test_the_door_and_the_work_refuse_the_same_for_too_few_items(
    service: Service, body: Body, metrics: str | list[str]
) -> None:
    for samples in range(1, 14):
        shown = service.client.post(PATH, json={**body, "metrics": metrics, "samples": samples})
        asked = Scoring(parse_metrics([metrics] if isinstance(metrics, str) else metrics))
        if shown.status_code == 422:
            with pytest.raises(RequestError) as refusal:
                asked.require_items(samples)
            assert str(refusal.value).partition(", and there are")[0] in shown.text
        else:
            asked.require_items(samples)
            # as the work reads it: every parameter written out
            written = [MetricChoice.of(one["name"], one["params"]) for one in shown.json()["request"]["metrics"]]
            assert find_shortage(written, samples) is None


@pytest.mark.parametrize("metrics", ["all", ["all"]])
def test_all_is_every_metric(service: Service, body: Body, metrics: Any) -> None:
    made = service.client.post(PATH, json={**body, "metrics": metrics}).json()
    assert [metric["name"] for metric in made["request"]["metrics"]] == list(METRICS)


def test_the_work_is_told_what_was_asked_and_the_answer_no_path(
    service: Service, body: Body, registered: Registered
) -> None:
    answer = service.client.post(PATH, json={**body, "layers": "last", "pooling": {"b": "max"}, "priority": 2})
    assert "secret" not in answer.text
    with service.database.read() as connection:
        row = connection.execute(sa.select(jobs)).mappings().one()
        models = connection.execute(sa.select(job_models.c.model_id)).scalars().all()
        note = connection.execute(sa.select(audit)).mappings().one()
    assert (row["queue"], row["priority"], row["kind"]) == ("score", 2, "comparison")
    payload = row["payload"]
    assert (payload["a"]["id"], payload["a"]["layers"], payload["a"]["pooling"]) == (registered.a, "last", "mean")
    assert (payload["b"]["name"], payload["b"]["pooling"]) == ("two", "max")
    assert payload["b"]["reference"].startswith("features:/")
    assert set(payload["probe"]) == {"id", "name", "reference", "columns", "sha256"}
    assert payload["request"] == row["request"]
    assert set(models) == {registered.a, registered.b}
    assert (note["action"], note["resource"]) == ("comparison.create", row["id"])


def test_a_model_may_be_compared_with_itself(service: Service, body: Body, registered: Registered) -> None:
    assert service.client.post(PATH, json={**body, "model_b": registered.a}).status_code == 202
    assert service.client.post(PATH, json={**body, "model_b": "one"}).status_code == 202


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"metrics": ["mutal_knn"]}, "/metrics/0", "did you mean 'mutual_knn'?"),
        ({"metrics": []}, "/metrics", "at least 1"),
        ({"metrics": ["cka", "cka"]}, "/metrics", "named twice: cka"),
        ({"metrics": ["all", "cka"]}, "/metrics", "named twice: cka"),
        ({"metrics": [{"name": "cka", "params": {"kernl": "rbf"}}]}, "/metrics/0/params/kernl", "did you mean"),
        ({"metrics": [{"name": "cka", "params": {"kernel": "x"}}]}, "/metrics/0/params/kernel", "'rbf', not 'x'"),
        ({"metrics": ["cka", {"name": "mutual_knn", "params": {"k": 0}}]}, "/metrics/1/params/k", "at least 1, not 0"),
        ({"metrics": [{"name": "mutual_knn", "params": {"k": True}}]}, "/metrics/0/params/k", "a number or a text"),
        ({"metrics": [{"name": "mutual_knn", "params": {"k": 10**400}}]}, "/metrics/0/params/k", "63 bits"),
        ({"metrics": [{"nam": "cka"}]}, "/metrics/0/nam", "did you mean 'name'?"),
        ({"metrics": ["cka:kernel"]}, "/metrics/0", "key=value"),
        ({"metrics": [{"name": "mutual_knn", "params": {"k": 40}}]}, "/metrics/0", "at least 41 items, and 40 are"),
        ({"samples": 5}, "/metrics/0", "mutual_knn needs at least 11 items, and 5 are drawn"),
        (
            {"samples": 5, "metrics": ["svcca", "mutual_knn"]},
            "/metrics/1",
            "needs at least 11 items, the other metrics",
        ),
        ({"samples": 2, "metrics": "all"}, "/metrics", "cka needs at least 3 items, the other metrics no fewer"),
        ({"samples": 9, "metrics": ["cka", "lcs_knn:k=5", "lcs_knn:k=9"]}, "/metrics/2", "samples, or a smaller k"),
        ({"samples": 0}, "/samples", "greater than or equal to 1"),
        ({"samples": "20"}, "/samples", "valid integer, not '20'"),
        ({"samples": 100_001}, "/samples", "at most 100000"),
        ({"seed": -1}, "/seed", "greater than or equal to 0"),
        ({"seed": 1 << 63}, "/seed", "less than"),
        ({"priority": 0}, "/priority", "1"),
        ({"priority": 11}, "/priority", "10"),
        ({"layers": "first"}, "/layers", '"all", "last"'),
        ({"layers": ["layer.0"]}, "/layers", '{"a": …, "b": …}'),
        ({"layers": {"a": []}}, "/layers/a", "a list of names or numbers"),
        ({"layers": {"b": ["x", 1.5]}}, "/layers/b/1", "its number from 0"),
        ({"layers": {"c": "all"}}, "/layers/c", "the fields are: a, b"),
        ({"layers": {"a": list(range(257))}}, "/layers/a", "at most 256"),
        ({"pooling": "mode"}, "/pooling", "mean, last, cls, max"),
        ({"pooling": {"a": "mode"}}, "/pooling/a", "'mode'"),
        ({"dtype": "int8"}, "/dtype", "'bfloat16'"),
        ({"device": "tpu"}, "/device", "not 'tpu'"),
        ({"preprocess": {"clip": 0}}, "/preprocess/clip", "greater than 0"),
        ({"preprocess": {"clip": 1.1}}, "/preprocess/clip", "1"),
        ({"calibration": {"permutations": -1}}, "/calibration/permutations", "0"),
        ({"calibration": {"resamples": 19}}, "/calibration/resamples", "at least 20, not 19"),
        ({"calibration": {"level": 1}}, "/calibration/level", "less than 1"),
        ({"sampels": 3}, "/sampels", "did you mean 'samples'?"),
        ({"model_a": "on"}, "/model_a", "did you mean 'one'?"),
        ({"model_b": "mdl_" + "0" * 26}, "/model_b", "no model"),
        ({"model_a": "builtin:minilm-l7"}, "/model_a", "did you mean"),
        ({"model_a": "a\0b"}, "/model_a", "match"),
        ({"probe": "text"}, "/probe", "did you mean 'texts'?"),
        ({"webhook_url": "ftp://example.org"}, "/webhook_url", "http or https"),
        ({"webhook_url": "http://127.0.0.1/x"}, "/webhook_url", "private, loopback"),
    ],
)
def test_what_cannot_be_met_is_refused_with_the_field(
    service: Service, body: Body, change: Body, pointer: str, said: str
) -> None:
    found = _refused(service, {**body, **change})
    assert found["errors"][0]["pointer"] == pointer
    assert said in found["errors"][0]["message"]


def test_all_that_is_wrong_with_the_metrics_is_told_at_once(service: Service, body: Body) -> None:
    metrics = ["ckna", {"name": "cka", "params": {"kernel": "x", "bandwidth": 0}}]
    found = _refused(service, {**body, "metrics": metrics})
    pointers = [error["pointer"] for error in found["errors"]]
    assert pointers == ["/metrics/0", "/metrics/1/params/kernel", "/metrics/1/params/bandwidth"]


def test_what_is_known_of_a_model_is_held_against_the_request(
    service: Service, body: Body, register: Callable[..., str]
) -> None:
    known = [{"name": "stem", "width": 8}, {"name": "head", "width": 4}]
    register("eye", modality="image", layers=known)
    register("reader", modality="text", layers=known)
    asked = {**body, "model_a": "reader"}
    for layers, said in ((["heat"], "did you mean 'head'?"), ([2], "0 to 1"), (["stem", 0], "none twice")):
        (error,) = _refused(service, {**asked, "layers": {"a": layers}})["errors"]
        assert (error["pointer"], said in error["message"]) == ("/layers/a", True)
    for asked_layers, said in ((["layer.5"], "did you mean"), ([4], "0 to 3")):
        layers = {"b": asked_layers}
        (error,) = _refused(service, {**body, "model_b": "builtin:minilm-l3", "layers": layers})["errors"]
        assert (error["pointer"], said in error["message"]) == ("/layers/b", True)
    register("causal", modality="text", poolings=["mean", "last", "max"])
    (error,) = _refused(service, {**body, "model_b": "causal", "pooling": {"b": "cls"}})["errors"]
    assert error["pointer"] == "/pooling/b"
    assert "cannot pool by 'cls'; it can by mean, last, max" in error["message"]
    (error,) = _refused(service, {**body, "model_b": "eye"})["errors"]
    assert error["pointer"] == "/model_b"
    assert "takes image and the probe set 'texts' holds text" in error["message"]
    assert service.client.post(PATH, json={**asked, "layers": {"a": ["head", 0]}}).status_code == 202
    assert service.client.post(PATH, json={**body, "model_b": "causal", "pooling": "last"}).status_code == 202


def test_a_gpu_is_waited_for_where_no_worker_is_there_to_tell(service: Service, body: Body) -> None:
    assert service.client.post(PATH, json={**body, "device": "cuda:0"}).status_code == 202


def _worker(
    service: Service, name: str, *devices: str, does: Sequence[Task] = ("extract", "score"), state: str = "alive"
) -> None:
    with service.database.write() as connection:
        now = service.database.now()
        queues = queues_of(does, devices)
        values = {"id": name, "host": "h", "pid": 1, "devices": devices, "queues": queues, "state": state}
        connection.execute(workers.insert().values(**values, started_at=now, beat_at=now))


def test_a_gpu_is_asked_of_workers_that_have_one(service: Service, body: Body) -> None:
    _worker(service, "wrk_1", "cpu", "cpu")
    (error,) = _refused(service, {**body, "device": "cuda"})["errors"]
    assert error["pointer"] == "/device"
    assert "no worker has a GPU" in error["message"]
    assert service.client.post(PATH, json=body).status_code == 202
    _worker(service, "wrk_2", "cuda:0", state="gone")  # which may come again
    assert service.client.post(PATH, json={**body, "device": "cuda:3"}).status_code == 202
    with service.database.read() as connection:
        asked = sa.select(jobs.c.queue).order_by(jobs.c.id)
        assert connection.execute(asked).scalars().all() == ["score", "score-gpu"]


@pytest.mark.parametrize(("here", "away"), [("extract", "score"), ("score", "extract")])
def test_a_gpu_must_do_every_part_of_a_job(service: Service, body: Body, here: Task, away: Task) -> None:
    _worker(service, "wrk_1", "cuda:0", does=[here])
    _worker(service, "wrk_2", "cpu", does=[away])
    body = {**body, "model_a": "builtin:minilm-l3"}  # which must run, as no stored activations must
    (error,) = _refused(service, {**body, "device": "cuda"})["errors"]
    assert error["pointer"] == "/device"
    assert f"no worker with a GPU does '{away}'" in error["message"]
    assert f"ACCORD_QUEUES names {away}" in error["message"]
    study = {"models": [body["model_a"], body["model_b"]], "probe": body["probe"], "device": "cuda"}
    answer = service.client.post("/v1/studies", json=study)
    assert (answer.status_code, answer.json()["errors"]) == (422, [error])
    _worker(service, "wrk_3", "cuda:0", does=[away])  # another machine's
    assert service.client.post(PATH, json={**body, "device": "cuda"}).status_code == 202


def test_limits_are_settings(service: Service, body: Body, tmp_path: Any) -> None:
    made = serve(tmp_path, service.database, max_metrics=1, max_layers=2, max_samples=30, max_queued=2)
    with made.client as client:
        for change, pointer in (
            ({"metrics": ["cka", "rsa"], "samples": 30}, "/metrics"),
            ({"metrics": "all", "samples": 30}, "/metrics"),
            ({"layers": {"b": [0, 1, 2]}, "samples": 30}, "/layers/b"),
            ({}, "/samples"),
        ):
            answer = client.post(PATH, json={**body, **change})
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
        for _ in range(2):
            last = client.post(PATH, json={**body, "samples": 30})
            assert last.status_code == 202
        over = client.post(PATH, json={**body, "samples": 30})
        assert over.status_code == 429
        assert int(over.headers["retry-after"]) > 0
        client.post(f"{last.headers['location']}/cancel")
        assert client.post(PATH, json={**body, "samples": 30}).status_code == 202


def test_another_teams_models_are_as_good_as_none(
    service: Service, body: Body, register: Callable[..., str], registered: Registered
) -> None:
    _, key = keys.create(service.database, "others", "runner")
    theirs = {"Authorization": f"Bearer {key}"}
    answer = service.client.post(PATH, json={**body, "model_a": registered.a}, headers=theirs)
    assert (answer.status_code, _count(service)) == (422, 0)
    _, reader = keys.create(service.database, "default", "reader")
    answer = service.client.post(PATH, json=body, headers={"Authorization": f"Bearer {reader}"})
    assert (answer.status_code, _count(service)) == (403, 0)


def test_the_same_key_gives_the_same_comparison(service: Service, body: Body) -> None:
    headers = {"Idempotency-Key": "nightly"}
    first = service.client.post(PATH, json=body, headers=headers)
    answer = service.client.post(PATH, json=dict(reversed(body.items())), headers=headers)
    again = (answer.status_code, answer.json(), answer.headers["location"])
    assert again == (202, first.json(), first.headers["location"])
    assert _count(service) == 1
    assert service.client.post(PATH, json={**body, "seed": 1}, headers=headers).status_code == 409


def test_a_refusal_leaves_the_key_free(service: Service, body: Body) -> None:
    headers = {"Idempotency-Key": "k"}
    assert service.client.post(PATH, json={**body, "model_a": "x"}, headers=headers).status_code == 422
    assert service.client.post(PATH, json=body, headers=headers).status_code == 202


def test_many_at_once_with_one_key_are_one(service: Service, body: Body) -> None:
    answers: list[Any] = []

    def post() -> None:
        answers.append(service.client.post(PATH, json=body, headers={"Idempotency-Key": "once"}))

    threads = [threading.Thread(target=post) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (_count(service), _count(service, job_models)) == (1, 2)


@pytest.mark.parametrize(
    ("headers", "most"),
    # Whose it is; room, probe set and both models; the job, its models, its entry's two rows, the note.
    [({}, 9), ({"Idempotency-Key": "once"}, 11)],
    ids=["plain", "with a key"],
)
def test_a_post_takes_few_statements(
    service: Service, body: Body, headers: dict[str, str], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a trip to the server and back; whether a connection lives is none of them."""
    service.client.post(PATH, json=body)  # what is done once is done
    said: list[str] = []
    monkeypatch.setattr(service.database.engine.dialect, "do_ping", lambda _: said.append("ping") or True)

    def heard(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    event.listen(service.database.engine, "before_cursor_execute", heard)
    answer = service.client.post(PATH, json=body, headers=headers)
    event.remove(service.database.engine, "before_cursor_execute", heard)
    assert answer.status_code == 202
    began = [statement for statement in said if statement.startswith("BEGIN")]  # PostgreSQL's driver says it unheard
    assert len(began) == (2 if service.database.is_sqlite else 0)
    assert len(said) - len(began) <= most, "\n".join(said)


def test_whoever_has_a_connection_can_queue_one(service: Service, body: Body, registered: Registered) -> None:
    state = service.app.state.accord
    with service.database.read() as connection:
        team = keys.local_team(connection)
    principal = Principal(team, "default", "runner", None)
    with service.database.write() as connection:
        row = comparisons.create(state, connection, principal, NewComparison.model_validate(body))
    assert service.client.get(f"{PATH}/{row['id']}").status_code == 200
    with pytest.raises(Problem) as raised, service.database.write() as connection:
        comparisons.create(state, connection, principal, NewComparison.model_validate({**body, "probe": "x"}))
    assert raised.value.status == 422
    assert _count(service) == 1


def test_enough_items_are_known_to_be_there(service: Service, body: Body) -> None:
    asked = {**body, "metrics": [{"name": "mutual_knn", "params": {"k": ITEMS - 1}}], "samples": 10**5}
    assert service.client.post(PATH, json=asked).status_code == 202


@pytest.mark.parametrize("layer", ["\ud800", "a\0b"])
def test_a_layer_that_no_answer_could_name_is_refused(service: Service, body: Body, layer: str) -> None:
    asked = json.dumps({**body, "layers": {"a": [layer], "b": "all"}})
    answer = service.client.post(PATH, content=asked, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/layers/a/0")
