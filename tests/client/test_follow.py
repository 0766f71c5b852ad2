"""Follow: a job is followed to its end, also where the answer to the last look at it was lost."""

import httpx
import pytest

from app.client import Client, client

PATH = "/v1/comparisons/cmp_1"


def test_an_end_whose_result_could_not_be_had_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSE", 0.0)
    looks = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal looks
        if request.url.path.endswith("/events"):
            if "last-event-id" in request.headers:  # as the service says that there is nothing more to come
                assert looks <= client._TRIES
                return httpx.Response(204)
            return httpx.Response(200, text='event: succeeded\nid: 4\ndata: {"status": "succeeded"}\n\n')
        looks += 1
        return httpx.Response(500 if looks == 1 else 200, json={"detail": "later", "status": "succeeded"})

    with Client("http://service", transport=httpx.MockTransport(answer)) as asked:
        assert [job["status"] for job in asked.follow(PATH)] == ["succeeded"]
    assert looks == 2
