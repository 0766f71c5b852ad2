"""Studies over HTTP: what is refused before it is queued, what the work is told, and the matrix in every format."""

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.storage.tables import job_models, jobs, probes
from app.studies.schemas import Study
from app.teams import keys
from tests.service import Service
from tests.studies.conftest import Registered

PATH = "/v1/studies"
Body = dict[str, Any]


@pytest.fixture
def body(registered: Registered, register: Callable[..., str]) -> Body:
    """Three models on one probe set."""
    register("org/three")
    return {"models": ["one", "two", "org/three"], "probe": "texts"}


@pytest.fixture
def done(service: Service, body: Body) -> str:
    """The path of a study that has succeeded."""
    asked = {**body, "calibration": {"permutations": 30}, "metrics": ["cka", "cycle_knn"]}
    capability = {"one": 1, "two": 2.5, "org/three": 3}
    answer = service.client.post(PATH, json={**asked, "capability": capability})
    assert answer.status_code == 202, answer.text
    service.work_off()
    return str(answer.headers["location"])


def _upload(service: Service, name: str, content: bytes) -> str:
    answer = service.client.post("/v1/uploads", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _payload(service: Service) -> Body:
    with service.database.read() as connection:
        found: Body = connection.execute(sa.select(jobs.c.payload).order_by(jobs.c.id.desc()).limit(1)).scalar_one()
    return found


def test_only_models_and_a_probe_set_are_required(service: Service, body: Body) -> None:
    answer = service.client.post(PATH, json=body)
    assert answer.status_code == 202
    made = answer.json()
    assert made["id"].startswith("std_")
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert made["request"] == {
        "models": ["one", "two", "org/three"],
        "probe": "texts",
        "metrics": [{"name": "mutual_knn", "params": {"k": 10}}],
        "layers": "all",
        "pooling": "mean",
        "dtype": "auto",
        "device": "auto",
        "preprocess": {"clip": 0.95, "normalize": True},
        "samples": 1024,
        "seed": 0,
        "calibration": {"permutations": 200, "resamples": 200, "level": 0.95},
        "priority": 5,
        "webhook_url": None,
        "capability": None,
        "reference": None,
    }
    assert "secret" not in answer.text
    assert service.client.post(PATH, json=made["request"]).json()["request"] == made["request"]


def test_what_is_said_of_one_model_is_that_models(service: Service, body: Body, registered: Registered) -> None:
    layers = {registered.a: "last", "org/three": ["layer.0", -1]}
    asked = {**body, "models": [registered.a, "two", "org/three"], "layers": layers, "pooling": {"two": "max"}}
    answer = service.client.post(PATH, json={**asked, "capability": {"one": 1, "two": 2, "org/three": 3}})
    assert answer.status_code == 202, answer.text
    payload = _payload(service)
    assert [side["layers"] for side in payload["models"]] == ["last", "all", ["layer.0", -1]]
    assert [side["pooling"] for side in payload["models"]] == ["mean", "max", "mean"]
    assert payload["capability"][registered.a] == 1
    with service.database.read() as connection:
        assert len(connection.execute(sa.select(job_models)).all()) == 3


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"models": ["one"]}, "/models", "models against each other: name at least 2 and at most 64 of them, not 1"),
        ({"models": [str(n) for n in range(65)]}, "/models", "at most 64"),
        ({"models": ["one", "two", "one"]}, "/models", "named twice"),
        ({"models": ["one", "tow"]}, "/models/1", "did you mean 'two'?"),
        ({"models": ["one", ""]}, "/models/1", "at least 1"),
        ({"layers": {"tow": "all"}}, "/layers/tow", "did you mean 'two'?"),
        ({"layers": {"two": "first"}}, "/layers/two", '"all", "last"'),
        ({"layers": {"two": [0, None]}}, "/layers/two/1", "its number"),
        ({"layers": {"org/three": list(range(300))}}, "/layers/org~1three", "at most 256"),
        ({"layers": 3}, "/layers", '"all", "last"'),
        ({"pooling": "mode"}, "/pooling", "mean, last, cls, max"),
        ({"pooling": {"one": "mode"}}, "/pooling/one", "mean, last, cls, max"),
        ({"pooling": {"three": "max"}}, "/pooling/three", "org/three"),
        ({"capability": {"one": 1, "two": 2}}, "/capability", "no capability for org/three"),
        ({"capability": {"one": 1, "two": 2, "org/three": "3"}}, "/capability/org~1three", "valid number"),
        ({"capability": {"one": 1, "two": 2, "org/three": 10**400}}, "/capability/org~1three", ""),
        ({"capability": {"won": 1}}, "/capability/won", "did you mean"),
        ({"calibration": {"resamples": 5}}, "/calibration/resamples", "at least 20"),
        ({"reference": {"kind": "kernel", "upload": "upl_1"}}, "/reference/upload", "no upload 'upl_1'"),
        ({"reference": {"kind": "kernle", "upload": "upl_1"}}, "/reference/kind", "'kernel'"),
        ({"reference": {"kind": "kernel", "upload": "u", "window": 3}}, "/reference/window", "has no window"),
        ({"reference": {"kind": "counts", "upload": "u", "window": 3}}, "/reference/window", "has no window"),
        ({"reference": {"kind": "corpus", "upload": "u", "smoothing": -1}}, "/reference/smoothing", "0"),
        ({"metrics": ["ckaa"]}, "/metrics/0", "did you mean 'cka'?"),
        ({"model_a": "one"}, "/model_a", "did you mean 'models'?"),
    ],
)
def test_what_cannot_be_met_is_refused_with_the_field(
    service: Service, body: Body, change: Body, pointer: str, said: str
) -> None:
    answer = service.client.post(PATH, json={**body, **change})
    assert answer.status_code == 422, answer.text
    error = answer.json()["errors"][0]
    assert error["pointer"] == pointer
    assert said in error["message"]
    with service.database.read() as connection:
        assert connection.execute(sa.select(jobs.c.id)).all() == []


def test_a_model_by_name_and_by_id_is_one(service: Service, body: Body, registered: Registered) -> None:
    answer = service.client.post(PATH, json={**body, "models": ["one", "two", registered.a]})
    assert answer.json()["errors"][0]["pointer"] == "/models/2"
    twice = {"one": 1, registered.a: 1, "two": 2, "org/three": 3}
    answer = service.client.post(PATH, json={**body, "capability": twice})
    assert (answer.status_code, "two numbers" in answer.json()["detail"]) == (422, True)


def test_a_model_that_takes_something_else_is_named(service: Service, body: Body, register: Callable[..., str]) -> None:
    register("eye", modality="image", layers=[{"name": "stem", "width": 3}])
    answer = service.client.post(PATH, json={**body, "models": ["one", "eye"]})
    assert answer.json()["errors"][0]["pointer"] == "/models/1"


def _vectors(service: Service, name: str, **views: Any) -> None:
    file = io.BytesIO()
    np.savez(file, **{view: np.ones((40, width)) for view, width in views.items()})
    answer = service.client.post("/v1/probes", files={"file": (f"{name}.npz", file.getvalue())}, data={"name": name})
    assert answer.status_code == 201, answer.text


def test_vectors_of_two_sides_are_refused_where_a_model_is_to_answer_them(
    service: Service, body: Body, register: Callable[..., str]
) -> None:
    for name in ("net", "other"):
        register(name, modality="array", reference=f"path:/{name}")
    _vectors(service, "whole", x=3)
    _vectors(service, "sides", a=3, b=2)
    asked = {"models": ["net", "other"], "probe": "sides"}
    answer = service.client.post(PATH, json=asked)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/probe"
    assert "'sides' has vectors 'a' and 'b'" in error["message"]
    assert "register the vectors as 'x'" in error["message"]
    assert service.client.post(PATH, json={**asked, "models": ["net", "one"]}).status_code == 422
    assert service.client.post(PATH, json={**asked, "probe": "whole"}).status_code == 202
    assert service.client.post(PATH, json={**asked, "models": ["one", "two"]}).status_code == 202  # files, no models
    compared = {"model_a": "net", "model_b": "other", "probe": "sides"}
    assert service.client.post("/v1/comparisons", json=compared).status_code == 202
    with service.database.write() as connection:  # a set that was registered before its views were kept
        connection.execute(probes.update().where(probes.c.name == "sides").values(views=None))
    assert service.client.post(PATH, json=asked).status_code == 202


def test_its_result_is_what_openapi_says(service: Service, done: str) -> None:
    answer = service.client.get(done)
    assert answer.json()["error"] is None
    shown = Study.model_validate(answer.json())
    assert shown.result is not None
    assert [model.name for model in shown.result.models] == ["one", "two", "org/three"]
    assert shown.result.metrics[0].trend is not None
    assert "secret" not in answer.text
    assert answer.headers["etag"]


def test_the_matrix_as_json_csv_and_npz_is_the_results(service: Service, done: str) -> None:
    result = service.client.get(done).json()["result"]
    names = ["one", "two", "org/three"]
    assert service.client.get(f"{done}/matrix").json() == {**result["metrics"][0], "models": names}
    params = {"metric": "cycle_knn", "format": "csv"}
    head, *rows = csv.reader(io.StringIO(service.client.get(f"{done}/matrix", params=params).text))
    assert head == ["cycle_knn", *names]
    read = [[float(cell) if cell else None for cell in row[1:]] for row in rows]
    assert read == result["metrics"][1]["matrix"]
    answer = service.client.get(f"{done}/matrix", params={"format": "npz"})
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["models"].tolist() == names
        assert np.isnan(np.diag(arrays["matrix"])).all()
        assert set(arrays.files) == {"models", "matrix", "null_mean", "calibrated", "p_value", "q_value"}


def test_the_matrix_as_a_picture(service: Service, done: str) -> None:
    answer = service.client.get(f"{done}/matrix", params={"format": "svg"})
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "org/three" in answer.text
    tag = answer.headers["etag"]
    again = service.client.get(f"{done}/matrix", params={"format": "svg"}, headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert service.client.get(f"{done}/matrix", params={"format": "png"}).status_code == 422
    assert service.client.get(f"{done}/matrix", params={"metric": "cca"}).status_code == 422


def test_before_there_is_a_result_there_is_no_matrix(service: Service, body: Body) -> None:
    made = service.client.post(PATH, json=body).headers["location"]
    assert service.client.get(f"{made}/matrix").status_code == 409
    assert service.client.post(f"{made}/cancel").json()["status"] == "cancelled"
    events = service.client.get(f"{made}/events")
    assert "event: cancelled" in events.text


def test_models_are_held_against_an_uploaded_kernel(service: Service, body: Body) -> None:
    points = np.random.default_rng(0).normal(size=(40, 6))
    out = io.BytesIO()
    np.savez(out, kernel=points @ points.T)
    upload = _upload(service, "kernel.npz", out.getvalue())
    asked = {**body, "reference": {"kind": "kernel", "upload": upload}, "calibration": {"permutations": 20}}
    answer = service.client.post(PATH, json=asked)
    assert answer.status_code == 202, answer.text
    assert answer.json()["request"]["reference"] == {"kind": "kernel", "upload": upload}
    service.work_off()
    shown = service.client.get(answer.headers["location"])
    assert shown.json()["error"] is None
    Study.model_validate(shown.json())
    assert shown.json()["result"]["prediction"]["kernel"]["path"] == "kernel.npz"
    assert str(service.settings.data_dir) not in shown.text


def test_items_too_few_for_one_metric_leave_the_others_beside_a_kernel_too(service: Service, body: Body) -> None:
    points = np.random.default_rng(0).normal(size=(40, 6))
    out = io.BytesIO()
    np.savez(out, kernel=points @ points.T)
    reference = {"kind": "kernel", "upload": _upload(service, "kernel.npz", out.getvalue())}
    asked = {**body, "reference": reference, "samples": 9, "metrics": ["cka", "mutual_knn"]}
    refused = service.client.post(PATH, json={**asked, "metrics": ["cka", "mutual_knn:k=9"]}).json()
    assert [error["pointer"] for error in refused["errors"]] == ["/metrics/1"]
    made = service.client.post(PATH, json=asked).headers["location"]
    service.work_off()
    result = service.client.get(made).json()["result"]
    measured = {
        one["key"]: any(fit["score"] is not None for fit in one["models"]) for one in result["prediction"]["metrics"]
    }
    assert measured == {"cka": True, "unbiased_cka": True, "mutual_knn": False}
    assert [one["matrix"][0][1] is None for one in result["metrics"]] == [False, True]
    assert service.client.get(f"{made}/matrix", params={"metric": "mutual_knn", "format": "svg"}).status_code == 200
    few = [warning["detail"] for warning in result["warnings"] if warning["code"] == "too_few_items"]
    reason = "mutual_knn has no score: it needs at least 11 items, and there are 9"
    assert few == [reason, f"against the kernel, {reason}"]


def test_a_corpus_has_its_defaults_filled_in(service: Service, body: Body) -> None:
    upload = _upload(service, "corpus.txt", b"text 1 text 2\n")
    asked = {**body, "reference": {"kind": "corpus", "upload": upload}}
    shown = service.client.post(PATH, json=asked).json()["request"]
    assert shown["reference"] == {"kind": "corpus", "upload": upload, "window": 8, "smoothing": 1.0}
    assert service.client.post(PATH, json=shown).json()["request"] == shown


def test_another_teams_upload_and_study_are_as_good_as_none(service: Service, body: Body) -> None:
    upload = _upload(service, "corpus.txt", b"text 1 text 2")
    made = service.client.post(PATH, json=body).headers["location"]
    _, key = keys.create(service.database, "others", "admin")
    theirs = {"Authorization": f"Bearer {key}"}
    for rest in ("", "/matrix", "/events"):
        assert service.client.get(f"{made}{rest}", headers=theirs).status_code == 404
    assert service.client.post(f"{made}/cancel", headers=theirs).status_code == 404
    assert service.client.get(PATH, headers=theirs).json()["items"] == []
    asked = {**body, "reference": {"kind": "corpus", "upload": upload}}
    assert service.client.post(PATH, json=asked, headers=theirs).status_code == 422


def test_the_same_key_gives_the_same_study(service: Service, body: Body) -> None:
    headers = {"Idempotency-Key": "k"}
    ids = {service.client.post(PATH, json=body, headers=headers).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    # A key is the team's, whatever it is used for.
    other = {"model_a": "one", "model_b": "two", "probe": "texts"}
    assert service.client.post("/v1/comparisons", json=other, headers=headers).status_code == 409
