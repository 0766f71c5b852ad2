"""Data sets of the hub over HTTP: read at one commit, which is kept and told; what is wrong is said at once."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.storage import Database
from tests.hub import HubServer
from tests.service import Service, serve


def rows(*texts: str) -> bytes:
    return "".join(json.dumps({"caption": text}) + "\n" for text in texts).encode()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    made = HubServer()
    yield made
    made.stop()


@pytest.fixture
def service(tmp_path: Path, database: Database, hub: HubServer) -> Iterator[Service]:
    made = serve(tmp_path, database, hub_endpoint=hub.url, max_upload_mib=1)
    with made.client:
        yield made


def post(service: Service, name: str = "texts", **source: Any) -> Any:
    columns = {"text": "caption"}
    asked = {"type": "huggingface", "id": "org/texts", "columns": columns, **source}
    return service.client.post("/v1/probes", json={"name": name, "source": asked})


def test_it_is_read_at_the_commit_that_its_branch_then_has(service: Service, hub: HubServer) -> None:
    first = hub.dataset("org/texts").push({"train.jsonl": rows("one", "two"), "test.jsonl": rows("three")})
    answer = post(service, split="train")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["modality"], made["samples"]) == ("text", 2)
    assert (made["source"]["revision"], made["source"]["split"]) == (first, "train")
    assert made["source"]["columns"]["text"] == "caption"
    hub.dataset("org/texts").push({"train.jsonl": rows("other")})
    hub.stop()  # what was read is kept: neither its preview nor its comparisons need the hub again
    shown = service.client.get(f"/v1/probes/{made['id']}/preview").json()
    assert [item["text"] for item in shown["items"]] == ["one", "two"]
    assert service.client.get(f"/v1/probes/{made['id']}").json() == made


def test_the_only_split_need_not_be_named(service: Service, hub: HubServer) -> None:
    hub.dataset("org/texts").push({"data/test-00000-of-00001.jsonl": rows("one")})
    assert post(service).json()["source"]["split"] == "test"


def test_what_cannot_be_read_is_said_at_once(service: Service, hub: HubServer) -> None:
    hub.dataset("org/texts").push({"train.jsonl": rows("one"), "test.jsonl": rows("x" * 2_000_000)})
    hub.dataset("org/gated").refuses = (403, "GatedRepo")
    hub.dataset("org/odd").push({"odd.py": b"", "weights.pkl": b""})
    for source, said in (
        ({"id": "org/absent"}, "the hub has no data set 'org/absent', or it is private: check the name"),
        ({"id": "org/gated"}, "only what is public is read here"),
        ({"id": "org/odd"}, "no conversion of it to Parquet"),
        ({"revision": "v9"}, "has no revision 'v9'"),
        ({"split": "dev"}, "name one of test, train"),
        ({"split": None}, "no split was named; name one of test, train"),
        ({"split": "test"}, "has 2 MiB, and at most 1 MiB are downloaded"),
        ({"split": "train", "columns": {}}, "neither a column 'text' nor a column 'image'"),
    ):
        answer = post(service, **source)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/source"), answer.text
        assert said in answer.json()["detail"]
        assert "/tmp" not in answer.text
        assert "hf auth" not in answer.text  # which is the operator's
    assert not [path for path in hub.asked if path.endswith((".py", ".pkl"))]


def test_a_hub_that_is_away_is_to_be_asked_again(service: Service, hub: HubServer) -> None:
    hub.stop()
    answer = post(service)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60"), answer.text
    assert "cannot be reached" in answer.json()["detail"]
    hub.start()
    hub.dataset("org/texts").push({"train.jsonl": rows("one")})
    assert post(service).status_code == 201


def test_no_login_of_the_server_is_used(service: Service, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.dataset("org/texts").push({"train.jsonl": rows("one")})
    assert post(service).status_code == 201
    assert set(hub.tokens) == {None}


def downloads(service: Service) -> list[str]:
    found = (service.settings.cache_dir / "datasets").rglob("*.jsonl")
    return sorted(path.name for path in found)


def test_what_is_refused_leaves_no_download_behind(service: Service, hub: HubServer) -> None:
    hub.dataset("org/texts").push({"train.jsonl": rows("one"), "test.jsonl": rows("two")})
    assert post(service, split="train", columns={}).status_code == 422
    assert downloads(service) == []
    assert post(service, split="train").status_code == 201
    assert post(service, split="train", columns={}).status_code == 422
    assert downloads(service) == ["train.jsonl"]  # which a set needs that was there before


def test_a_registration_makes_room_where_no_worker_does(service: Service, hub: HubServer) -> None:
    settings = service.settings
    old = settings.cache_dir / "datasets" / "datasets--org--old" / ("a" * 40) / ("b" * 64)
    old.mkdir(parents=True)
    with (old / "old.jsonl").open("wb") as file:
        file.truncate((settings.datasets_mib + 1) << 20)  # of which the disk keeps nothing
    marker = old.with_name(f"{old.name}.json")
    marker.write_text('["old.jsonl"]')
    for path in (old / "old.jsonl", marker, old, old.parent):
        os.utime(path, (1, 1))
    hub.dataset("org/texts").push({"train.jsonl": rows("one")})
    assert post(service).status_code == 201
    assert downloads(service) == ["train.jsonl"]


def test_there_is_no_room_for_more_than_may_be_kept(tmp_path: Path, service: Service, hub: HubServer) -> None:
    small = serve(tmp_path / "small", service.database, hub_endpoint=hub.url, datasets_mib=1)
    with small.client:
        for name in ("texts", "more"):
            hub.dataset(f"org/{name}").push({"train.jsonl": rows(*("x" * 1000 for _ in range(600)))})
        assert post(small).status_code == 201
        answer = post(small, id="org/more", name="more")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60"), answer.text
    assert "ACCORD_DATASETS_MIB" in answer.json()["detail"]
