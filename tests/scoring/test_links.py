"""OpenAPI's links from a POST lead to operations that there are."""

import pytest

from tests.service import Service


@pytest.mark.parametrize("path", ["/v1/comparisons", "/v1/studies", "/v1/trainings"])
def test_a_link_leads_somewhere(service: Service, path: str) -> None:
    paths = service.app.openapi()["paths"]
    known = {operation["operationId"] for found in paths.values() for operation in found.values()}
    links = paths[path]["post"]["responses"]["202"]["links"]
    assert {"look", "cancel"} <= set(links)
    assert {link["operationId"] for link in links.values()} <= known
