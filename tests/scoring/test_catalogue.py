"""GET /v1/metrics: the table that measures, as it is."""

from alignment.metrics import METRICS, MetricChoice
from tests.service import Service


def test_it_is_the_table(service: Service) -> None:
    answer = service.client.get("/v1/metrics")
    assert answer.status_code == 200
    assert answer.json() == {"items": [metric.facts() for metric in METRICS.values()], "next_cursor": None}


def test_it_has_what_the_contract_names(service: Service) -> None:
    promised = {"name", "title", "family", "summary", "params", "range", "invariances", "reference"}
    for item in service.client.get("/v1/metrics").json()["items"]:
        assert promised <= set(item)
        defaults = {name: schema["default"] for name, schema in item["params"]["properties"].items()}
        assert MetricChoice.of(item["name"], defaults).key == item["name"]


def test_it_is_paged_as_every_list(service: Service) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/v1/metrics", params=params).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(METRICS)
    assert service.client.get("/v1/metrics?cursor=!").status_code == 422
