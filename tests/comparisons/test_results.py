"""A comparison done: its result, its grids and its picture, and what is answered before there are any."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alignment.comparison import Scoring, score
from app.comparisons.schemas import Comparison
from app.storage.tables import jobs
from tests.service import Service

PATH = "/v1/comparisons"
QUICK = {"calibration": {"permutations": 20, "resamples": 20}}
METRICS = ["mutual_knn", {"name": "cka", "params": {"kernel": "rbf"}}]


@pytest.fixture
def done(service: Service, body: dict[str, Any]) -> str:
    """The path of a comparison that has succeeded."""
    answer = service.client.post(PATH, json={**body, **QUICK, "metrics": METRICS})
    assert service.work_off() >= 1
    return str(answer.headers["location"])


def test_its_numbers_are_the_sciences_own(service: Service, done: str, tmp_path: Path) -> None:
    from alignment.activations import read_activations
    from alignment.calibration import Calibration
    from alignment.metrics import MetricChoice

    shown = service.client.get(done).json()
    assert shown["status"] == "succeeded", shown["error"]
    a, b = (read_activations(tmp_path / f"secret-{number}.npz") for number in (0, 1))
    metrics = (MetricChoice.of("mutual_knn"), MetricChoice.of("cka", {"kernel": "rbf"}))
    report = score(a, b, Scoring(metrics, calibration=Calibration(20, 20)))
    assert shown["result"]["metrics"] == report.to_dict()["metrics"]
    assert shown["result"]["provenance"]["request"] == shown["request"]


def test_it_is_what_openapi_says_and_says_no_path(service: Service, done: str) -> None:
    answer = service.client.get(done)
    assert "secret" not in answer.text
    shown = Comparison.model_validate(answer.json())
    assert shown.result is not None
    assert [metric.key for metric in shown.result.metrics] == ["mutual_knn", "cka:kernel=rbf"]


def test_the_grid_as_json_csv_and_npz_is_the_results(service: Service, done: str) -> None:
    result = service.client.get(done).json()["result"]
    first, second = result["metrics"]
    shown = service.client.get(f"{done}/grid").json()
    assert shown == {**first, "layers_a": result["layers_a"], "layers_b": result["layers_b"]}
    params = {"metric": "cka:kernel=rbf", "format": "csv"}
    answer = service.client.get(f"{done}/grid", params=params)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="cka-kernel=rbf.csv"'
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["cka:kernel=rbf", *result["layers_b"]]
    assert [row[0] for row in rows] == result["layers_a"]
    assert [[float(cell) for cell in row[1:]] for row in rows] == second["grid"]
    answer = service.client.get(f"{done}/grid", params={**params, "format": "npz"})
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["layers_a"].tolist() == result["layers_a"]
        assert arrays["layers_b"].tolist() == result["layers_b"]
        for name in ("grid", "null_mean_grid", "calibrated_grid", "p_grid"):
            assert arrays[name].tolist() == second[name]


def test_what_has_no_meaning_is_an_empty_field_and_nan(service: Service, body: dict[str, Any]) -> None:
    off = {"calibration": {"permutations": 0, "resamples": 0}}
    made = service.client.post(PATH, json={**body, **off, "metrics": ["pwcca"], "samples": 12}).headers["location"]
    service.work_off()
    grid = service.client.get(f"{made}/grid").json()
    assert (grid["grid"][0][0], grid["p_grid"]) == (None, None)
    rows = service.client.get(f"{made}/grid", params={"format": "csv"}).text.splitlines()
    assert rows[1].startswith("layer.0,,")
    with np.load(io.BytesIO(service.client.get(f"{made}/grid?format=npz").content)) as arrays:
        assert np.isnan(arrays["grid"][0, 0])
        assert "p_grid" not in arrays.files
    assert service.client.get(f"{made}/heatmap").status_code == 200


def test_a_metric_with_too_few_items_is_null_everywhere_and_the_others_are_not(
    service: Service, body: dict[str, Any]
) -> None:
    made = service.client.post(PATH, json={**body, **QUICK, "metrics": "all", "samples": 11}).headers["location"]
    service.work_off()
    result = service.client.get(made).json()["result"]
    null = {metric["key"] for metric in result["metrics"] if metric["best"] is None}
    assert null == {"svcca", "pwcca"}  # pwcca, for the ranks of both layers come to more
    (said,) = [warning["detail"] for warning in result["warnings"] if warning["code"] == "too_few_items"]
    assert said == "svcca has no score: it needs at least 12 items, and there are 11"
    params = {"metric": "svcca"}
    shown = service.client.get(f"{made}/grid", params=params).json()
    assert (shown["grid"], shown["null_mean_grid"], shown["null_method"]) == ([[None] * 3] * 3, None, None)
    rows = service.client.get(f"{made}/grid", params={**params, "format": "csv"}).text.splitlines()
    assert rows[1:] == [f"layer.{row},,," for row in range(3)]
    with np.load(io.BytesIO(service.client.get(f"{made}/grid", params={**params, "format": "npz"}).content)) as arrays:
        assert np.isnan(arrays["grid"]).all()
    for kind in ("svg", "png"):
        assert service.client.get(f"{made}/heatmap", params={**params, "format": kind}).status_code == 200


def test_the_picture_has_names_and_no_path(service: Service, done: str) -> None:
    answer = service.client.get(f"{done}/heatmap")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    text = answer.text
    assert all(name in text for name in ("one", "two", "layer.2", "mutual_knn"))
    assert "secret" not in text
    other = service.client.get(f"{done}/heatmap", params={"metric": "cka:kernel=rbf"})
    assert "cka:kernel=rbf" in other.text


def test_the_same_picture_as_png(service: Service, done: str) -> None:
    answer = service.client.get(f"{done}/heatmap", params={"format": "png"})
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert min(picture.size) > 200
    assert service.client.get(f"{done}/heatmap", params={"format": "png"}).content == answer.content


@pytest.mark.parametrize("rest", ["grid", "grid?format=csv", "grid?format=npz", "heatmap", "heatmap?format=png"])
def test_what_the_client_has_is_not_made_again(service: Service, done: str, rest: str) -> None:
    first = service.client.get(f"{done}/{rest}")
    tag = first.headers["etag"]
    again = service.client.get(f"{done}/{rest}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert tag != service.client.get(done).headers["etag"]


def test_each_variant_has_a_tag_of_its_own(service: Service, done: str) -> None:
    rests = ["grid", "grid?format=csv", "grid?metric=cka:kernel%3Drbf", "heatmap", "heatmap?format=png"]
    assert len({service.client.get(f"{done}/{rest}").headers["etag"] for rest in rests}) == len(rests)


@pytest.mark.parametrize("rest", ["grid", "heatmap"])
def test_a_metric_that_the_result_has_not_is_refused(service: Service, done: str, rest: str) -> None:
    assert "choose from: mutual_knn, cka:kernel=rbf" in service.client.get(f"{done}/{rest}?metric=cka").text
    answer = service.client.get(f"{done}/{rest}", params={"metric": "cka:kernel"})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "query/metric"
    assert "did you mean 'cka:kernel=rbf'?" in error["message"]
    assert service.client.get(f"{done}/{rest}", params={"format": "pdf"}).status_code == 422


@pytest.mark.parametrize("rest", ["grid", "heatmap"])
def test_before_there_is_a_result_it_says_what_to_do(service: Service, body: dict[str, Any], rest: str) -> None:
    made = service.client.post(PATH, json=body).headers["location"]
    answer = service.client.get(f"{made}/{rest}")
    assert answer.status_code == 409
    assert "is queued" in answer.json()["detail"]
    assert "/events" in answer.json()["detail"]
    service.client.post(f"{made}/cancel")
    answer = service.client.get(f"{made}/{rest}")
    assert (answer.status_code, "was cancelled" in answer.json()["detail"]) == (409, True)
    assert service.client.get(f"{PATH}/cmp_{'0' * 26}/{rest}").status_code == 404


def test_large_answers_are_compressed(service: Service, done: str) -> None:
    answer = service.client.get(done, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()


def test_a_failed_one_says_which_model_and_no_path(service: Service, body: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "secret-1.npz").write_bytes(b"broken")
    made = service.client.post(PATH, json={**body, **QUICK}).headers["location"]
    service.work_off()
    answer = service.client.get(made)
    assert answer.json()["status"] == "failed"
    assert answer.json()["error"]["model"] == "two"
    assert "secret" not in answer.text
    assert service.client.get(f"{made}/grid").status_code == 409


def test_the_list_finds_by_the_models_name(service: Service, body: dict[str, Any]) -> None:
    both = service.client.post(PATH, json=body).json()["id"]
    same = service.client.post(PATH, json={**body, "model_b": "one"}).json()["id"]

    def listed(**params: str) -> list[str]:
        return [item["id"] for item in service.client.get(PATH, params=params).json()["items"]]

    assert listed(model="one") == [same, both]
    assert listed(model="two") == [both]
    assert listed(model="two", status="succeeded") == []
    with service.database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == both).values(kind="study"))
    assert listed() == [same]
