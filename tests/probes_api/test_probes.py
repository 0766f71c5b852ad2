"""Probe sets over HTTP: read when they are registered, previewed, named, the team's own."""

import base64
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from alignment.probes import load_probe
from app.probes.preview import forget
from app.probes.service import find
from app.problems import Problem
from app.teams import keys
from app.teams.principal import Principal
from tests.service import Service

JSONL = b'{"text": "one", "id": "x", "target": 1}\n{"text": "two", "id": "y", "target": 2}\n'
REFERENCE = {"name": "reference", "source": {"type": "builtin", "id": "language-reference"}}


def form(service: Service, file: str = "items.jsonl", data: bytes = JSONL, headers: Any = None, **fields: str) -> Any:
    fields = {"name": "items", **fields}
    return service.client.post("/v1/probes", files={"file": (file, data)}, data=fields, headers=headers)


def upload(service: Service, file: str = "items.jsonl", data: bytes = JSONL, headers: Any = None) -> str:
    answer = service.client.post("/v1/uploads", files={"file": (file, data)}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def named(upload_id: str, name: str = "items", **source: Any) -> dict[str, Any]:
    return {"name": name, "source": {"type": "upload", "upload": upload_id, **source}}


def bearer(service: Service, team: str, role: str = "runner") -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.create(service.database, team, role)[1]}"}


def principal(service: Service, team: str = "default") -> Principal:
    with service.database.write() as connection:
        return Principal(keys.ensure_team(service.database, connection, team), team, "admin", None)


def pointer(answer: Any) -> str:
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["pointer"])


def png(size: tuple[int, int] = (8, 8), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def parquet(**columns: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def on_disk(service: Service) -> list[str]:
    folder = service.settings.data_dir / "uploads"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_builtin_set_is_registered_in_one_call(service: Service) -> None:
    answer = service.client.post("/v1/probes", json=REFERENCE)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    known = load_probe("builtin:language-reference")
    assert made["id"].startswith("prb_")
    assert (made["modality"], made["samples"], made["sha256"]) == ("text", len(known), known.sha256)
    assert answer.headers["location"] == f"/v1/probes/{made['id']}"
    assert service.client.get(answer.headers["location"]).json() == made
    assert service.client.get("/v1/probes").json() == {"items": [made], "next_cursor": None}


FILES = [
    ("a.jsonl", JSONL, "text", 2),
    ("a.csv", b"text\none\ntwo\n", "text", 2),
    ("a.txt", b"one\ntwo\nthree\n", "text", 3),
    ("a.parquet", parquet(text=["one", "two"]), "text", 2),
    ("a.parquet", parquet(text=["one"], image=[{"bytes": png(), "path": None}]), "paired", 1),
    ("a.zip", archive(a_png=png(), b_png=png(colour="blue")), "image", 2),
    ("a.zip", archive(a_png=png(), captions_csv=b"image,text\na.png,red\n"), "paired", 1),
    ("a.npz", npz(x=np.ones((4, 3))), "array", 4),
    ("a.npz", npz(a=np.ones((4, 3)), b=np.ones((4, 2))), "array", 4),
]


@pytest.mark.parametrize(("file", "data", "modality", "samples"), FILES)
def test_each_kind_of_file_by_upload_and_by_form(
    service: Service, tmp_path: Path, file: str, data: bytes, modality: str, samples: int
) -> None:
    (tmp_path / file).write_bytes(data)
    by_upload = service.client.post("/v1/probes", json=named(upload(service, file, data), "up"))
    by_form = form(service, file, data)
    for answer in (by_upload, by_form):
        assert answer.status_code == 201, answer.text
        assert (answer.json()["modality"], answer.json()["samples"]) == (modality, samples)
        assert answer.json()["sha256"] == load_probe(str(tmp_path / file)).sha256
        assert str(service.settings.data_dir) not in answer.text
    source = by_form.json()["source"]
    assert source["type"] == "upload"
    assert service.client.get(f"/v1/uploads/{source['upload']}").json()["filename"] == file
    with service.database.read() as connection:
        row = find(service.app.state.accord, connection, principal(service), "items")
    assert Path(row["reference"]).read_bytes() == data
    assert load_probe(row["reference"], columns=row["columns"], name="x").sha256 == row["sha256"]


def test_vectors_say_which_views_they_hold(service: Service) -> None:
    arrays = {"x": {"x": np.ones((4, 3))}, "ab": {"b": np.ones((4, 2)), "a": np.ones((4, 3))}}
    made = {name: form(service, "v.npz", npz(**views), name=name).json() for name, views in arrays.items()}
    assert (made["x"]["views"], made["ab"]["views"]) == (["x"], ["a", "b"])
    assert service.client.get(f"/v1/probes/{made['ab']['id']}").json() == made["ab"]
    assert form(service).json()["views"] is None


def test_columns_are_named_in_either_form(service: Service) -> None:
    data = b"caption,key\none,a\ntwo,b\n"
    columns = {"text": "caption", "id": "key"}
    first = service.client.post("/v1/probes", json=named(upload(service, "a.csv", data), "u", columns=columns))
    second = form(service, "a.csv", data, columns='{"text": "caption", "id": "key"}')
    assert first.status_code == second.status_code == 201, first.text + second.text
    assert first.json()["sha256"] == second.json()["sha256"]
    assert second.json()["source"]["columns"] == {"text": "caption", "image": None, "id": "key", "target": None}
    with service.database.read() as connection:
        assert find(service.app.state.accord, connection, principal(service), "u")["columns"] == columns


@pytest.mark.parametrize(
    ("source", "where", "says"),
    [
        ({"type": "builtin", "id": "emojis"}, "/source/id", "did you mean 'emoji'"),
        ({"type": "huggingface", "id": "../name"}, "/source/id", "no id of a data set"),
        ({"type": "huggingface", "id": "org/name:x"}, "/source/id", "no id of a data set"),
        ({"type": "huggingface", "id": "org/name", "revision": "a:b"}, "/source/revision", "no revision"),
        ({"type": "huggingface", "id": "org/name", "split": "a:b"}, "/source/split", "no split"),
        ({"type": "upload", "upload": "upl_none"}, "/source/upload", "POST /v1/uploads"),
        ({"type": "upload", "upload": "u", "columns": {"txt": "a"}}, "/source/columns/txt", "did you mean 'text'"),
        ({"type": "upload"}, "/source/upload", "missing"),
        ({"type": "else"}, "/source", "builtin"),
    ],
)
def test_a_wrong_source_is_pointed_at(steady: Service, source: dict[str, Any], where: str, says: str) -> None:
    answer = steady.client.post("/v1/probes", json={"name": "x", "source": source})
    assert pointer(answer) == where
    assert says in answer.json()["detail"]


BAD = [
    ("a.jsonl", b'{"text": "one"}\n{"text": \n', "line 2"),
    ("a.jsonl", b"\xff\xfe", "UTF-8"),
    ("a.csv", b"caption\none\n", "'caption'"),
    ("a.csv", b"image\n/etc/passwd.png\n", "leads out"),
    ("a.csv", b"image\n../../accord.db.png\n", "leads out"),
    ("a.parquet", b"PAR1 and no more of it", "Parquet"),
    ("a.zip", b"PK\x03\x04 and no more of it", ".zip"),
    ("a.zip", archive(a_png=b"not a picture"), "'a.png'"),
    ("a.zip", archive(a_png=png((9000, 9000))), "too large"),
    ("a.zip", archive(a_txt=b"x"), "0 images"),
    ("a.npz", npz(x=np.array([{}], dtype=object)), "Python objects"),
    ("a.npz", npz(y=np.ones((2, 2))), "'y'"),
    ("a.npz", npz(x=np.array([[np.nan]])), "NaN"),
    ("a.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", ".safetensors"),
]


@pytest.mark.parametrize(("file", "data", "says"), BAD)
def test_what_cannot_be_read_is_refused_by_the_name_it_was_sent_by(
    steady: Service, file: str, data: bytes, says: str
) -> None:
    by_upload = steady.client.post("/v1/probes", json=named(upload(steady, file, data)))
    assert pointer(by_upload) == "/source/upload"
    left = on_disk(steady)
    by_form = form(steady, file, data)
    assert pointer(by_form) == "/file"
    assert on_disk(steady) == left  # the file of a form that is refused is not kept
    for answer in (by_upload, by_form):
        detail = answer.json()["detail"]
        assert says in detail
        assert file in detail or "image 'a.png'" in detail
        assert str(steady.settings.data_dir) not in answer.text
        assert "upl_" not in detail
    assert steady.client.get("/v1/probes").json()["items"] == []


@pytest.mark.parametrize(
    ("request_", "status", "where"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, None),
        ({"content": b"\xff", "headers": {"Content-Type": "application/json"}}, 400, None),
        ({"content": b"name=x"}, 415, None),
        ({"json": []}, 422, ""),
        ({"json": {"name": "x"}}, 422, "/source"),
        ({"json": {**REFERENCE, "naem": "x"}}, 422, "/naem"),
        ({"json": {**REFERENCE, "name": "a:b"}}, 422, "/name"),
        ({"files": {"file": ("a.jsonl", JSONL)}}, 422, "/name"),
        ({"files": {"file": ("a.jsonl", JSONL)}, "data": {"name": "x", "shard": "true"}}, 422, "/shard"),
        ({"files": {"file": ("a.jsonl", JSONL)}, "data": {"name": "x", "shared": "perhaps"}}, 422, "/shared"),
        ({"files": {"file": ("a.jsonl", JSONL)}, "data": {"name": "x", "columns": "{"}}, 422, "/columns"),
        ({"files": {"file": ("a.jsonl", JSONL)}, "data": {"name": "x", "columns": '{"tx": "a"}'}}, 422, "/columns/tx"),
    ],
)
def test_a_wrong_request_is_refused(steady: Service, request_: dict[str, Any], status: int, where: str | None) -> None:
    left = on_disk(steady)
    answer = steady.client.post("/v1/probes", **request_)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("errors", [{}])[0].get("pointer") == where
    assert on_disk(steady) == left


def test_a_preview_shows_texts_and_targets(service: Service) -> None:
    made = form(service).json()
    found = service.client.get(f"/v1/probes/{made['id']}/preview").json()
    assert found["items"] == [
        {"id": "x", "text": "one", "image": None, "target": 1.0, "vectors": {}},
        {"id": "y", "text": "two", "image": None, "target": 2.0, "vectors": {}},
    ]
    assert len(service.client.get(f"/v1/probes/{made['id']}/preview?limit=1").json()["items"]) == 1
    for limit in ("0", "51", "x"):
        assert service.client.get(f"/v1/probes/{made['id']}/preview?limit={limit}").status_code == 422
    assert service.client.get("/v1/probes/prb_none/preview").status_code == 404


def test_a_preview_shows_thumbnails(service: Service) -> None:
    made = form(service, "a.zip", archive(a_png=png((8, 8)), b_png=png((400, 200), "blue"))).json()
    first, second = service.client.get(f"/v1/probes/{made['id']}/preview").json()["items"]
    for item, kind, size in ((first, "png", (8, 8)), (second, "jpeg", (96, 48))):
        head, _, data = item["image"].partition(",")
        assert head == f"data:image/{kind};base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == size


def test_a_preview_shows_the_beginnings_of_vectors(service: Service) -> None:
    made = form(service, "a.npz", npz(a=np.arange(30.0).reshape(3, 10), b=np.ones((3, 2)))).json()
    item = service.client.get(f"/v1/probes/{made['id']}/preview").json()["items"][1]
    assert item["vectors"] == {
        "a": {"width": 10, "values": [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]},
        "b": {"width": 2, "values": [1.0, 1.0]},
    }


def test_a_preview_that_was_not_kept_is_made_anew(service: Service) -> None:
    made = service.client.post("/v1/probes", json=REFERENCE).json()
    items = service.client.get(f"/v1/probes/{made['id']}/preview?limit=50").json()["items"]
    known = load_probe("builtin:language-reference")
    assert [item["text"] for item in items] == list((known.texts or ())[:50])
    assert service.client.get(f"/v1/probes/{made['id']}/preview?limit=50").json()["items"] == items


def test_an_old_preview_is_forgotten_and_made_anew(service: Service) -> None:
    where = f"/v1/probes/{form(service).json()['id']}/preview"
    shown = service.client.get(where).json()
    assert forget(service.settings.data_dir, 3600.0) == 0
    assert forget(service.settings.data_dir, -1.0) == 1
    assert forget(service.settings.data_dir, -1.0) == 0
    assert service.client.get(where).json() == shown


def test_a_taken_name_is_refused_until_it_is_deleted(service: Service) -> None:
    first = form(service).json()
    left = on_disk(service)
    assert form(service).status_code == 409
    assert on_disk(service) == left
    assert service.client.delete(f"/v1/uploads/{first['source']['upload']}").status_code == 409
    assert service.client.delete(f"/v1/probes/{first['id']}").status_code == 204
    assert service.client.get(f"/v1/probes/{first['id']}").status_code == 404
    assert service.client.delete(f"/v1/uploads/{first['source']['upload']}").status_code == 204
    assert form(service).status_code == 201


def test_of_many_forms_at_once_one_gets_the_name(service: Service) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: form(service).status_code, range(6)))
    assert sorted(statuses) == [201] + 5 * [409]
    assert len(on_disk(service)) == 1


def test_the_same_key_registers_once(service: Service) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = form(service, headers=headers), form(service, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(on_disk(service)) == 1
    assert form(service, headers=headers, name="other").status_code == 409
    builtin = {"Idempotency-Key": "b"}
    one, two = (service.client.post("/v1/probes", json=REFERENCE, headers=builtin).json() for _ in range(2))
    assert one == two


def test_two_teams_are_blind_to_one_another_unless_one_shares(service: Service) -> None:
    ours, theirs = bearer(service, "ours"), bearer(service, "theirs")
    made = form(service, headers=ours).json()
    where = f"/v1/probes/{made['id']}"
    for method, path in (("GET", where), ("GET", f"{where}/preview"), ("DELETE", where)):
        assert service.client.request(method, path, headers=theirs).status_code == 404
    assert service.client.get("/v1/probes", headers=theirs).json()["items"] == []
    foreign = named(made["source"]["upload"], "mine")
    assert pointer(service.client.post("/v1/probes", json=foreign, headers=theirs)) == "/source/upload"
    assert form(service, headers=bearer(service, "ours", "reader"), name="r").status_code == 403

    assert form(service, headers=ours, name="s", shared="true").status_code == 403
    shared = form(service, headers=bearer(service, "ours", "admin"), name="s", shared="true").json()
    seen = service.client.get(f"/v1/probes/{shared['id']}", headers=theirs)
    assert (seen.json()["team"], seen.json()["shared"]) == ("ours", True)
    assert service.client.get(f"/v1/probes/{shared['id']}/preview", headers=theirs).status_code == 200
    assert service.client.delete(f"/v1/probes/{shared['id']}", headers=theirs).status_code == 403
    with service.database.read() as connection:
        assert find(service.app.state.accord, connection, principal(service, "theirs"), "s")["id"] == shared["id"]


def test_lists_are_paged_and_filtered(service: Service) -> None:
    for number in range(3):
        form(service, name=f"p{number}")
    form(service, "a.npz", npz(x=np.ones((2, 2))), name="vectors")
    first = service.client.get("/v1/probes?limit=2").json()
    rest = service.client.get(f"/v1/probes?limit=2&cursor={first['next_cursor']}").json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["vectors", "p2", "p1", "p0"]
    assert rest["next_cursor"] is None
    assert [i["name"] for i in service.client.get("/v1/probes?modality=array").json()["items"]] == ["vectors"]
    assert [i["name"] for i in service.client.get("/v1/probes?name=p1").json()["items"]] == ["p1"]
    assert service.client.get("/v1/probes?team=else").json()["items"] == []


def test_a_builtin_set_is_found_without_being_registered(service: Service) -> None:
    with service.database.read() as connection:
        row = find(service.app.state.accord, connection, principal(service), "builtin:language-reference")
        known = load_probe("builtin:language-reference")
        assert {key: row[key] for key in ("id", "reference", "columns", "modality", "samples", "sha256")} == {
            "id": "builtin:language-reference",
            "reference": "builtin:language-reference",
            "columns": {},
            "modality": "text",
            "samples": len(known),
            "sha256": known.sha256,
        }
        with pytest.raises(Problem) as error:
            find(service.app.state.accord, connection, principal(service), "builtin:else", "/probe")
    assert error.value.errors[0].pointer == "/probe"


def test_both_bodies_are_described(service: Service) -> None:
    body = service.client.get("/openapi.json").json()["paths"]["/v1/probes"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    assert "$ref" not in str(body)
    kinds = [
        kind["properties"]["type"]["const"]
        for kind in body["application/json"]["schema"]["properties"]["source"]["oneOf"]
    ]
    assert kinds == ["builtin", "upload", "huggingface"]
