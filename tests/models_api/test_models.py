"""Models over HTTP: what each source takes and refuses, names, visibility, deletion."""

from typing import Any

import pytest

from app.models.service import fill, find
from app.problems import Problem
from app.teams import keys
from app.teams.principal import Principal
from tests.service import Service

MINILM = {"name": "minilm", "source": {"type": "builtin", "id": "minilm-l6"}}


def post(
    service: Service, name: str, headers: dict[str, str] | None = None, shared: bool = False, **source: Any
) -> Any:
    body = {"name": name, "source": source, "shared": shared}
    return service.client.post("/v1/models", json=body, headers=headers)


def bearer(service: Service, team: str, role: str = "runner") -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.create(service.database, team, role)[1]}"}


def pointer(answer: Any) -> str:
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["pointer"])


def test_a_builtin_is_registered_in_one_call(service: Service) -> None:
    answer = service.client.post("/v1/models", json=MINILM)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/models/{made['id']}"
    assert made["id"].startswith("mdl_")
    assert {k: made[k] for k in ("name", "source", "shared", "team", "modality")} == {
        **MINILM,
        "shared": False,
        "team": "default",
        "modality": "text",
    }
    assert made["parameters"] is made["fingerprint"] is None
    assert [layer["name"] for layer in made["layers"]] == ["embeddings", *(f"layer.{i}" for i in range(6))]
    assert made["poolings"] == ["mean", "last", "cls", "max"]
    assert made["created_at"].endswith("Z")
    assert service.client.get(answer.headers["location"]).json() == made
    assert service.client.get("/v1/models").json() == {"items": [made], "next_cursor": None}


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ({"type": "builtin", "id": "minilm-l7"}, "/source/id"),
        ({"type": "builtin"}, "/source/id"),
        ({"type": "builtin", "id": "minilm-l6", "idd": 1}, "/source/idd"),
        ({"type": "nowhere"}, "/source"),
        ({}, "/source"),
        ({"type": "huggingface", "id": "a/b/c"}, "/source/id"),
        ({"type": "huggingface", "id": "../etc"}, "/source/id"),
        ({"type": "huggingface", "id": "org/name@main"}, "/source/id"),
        ({"type": "huggingface", "id": "org/name", "revision": "a b"}, "/source/revision"),
        ({"type": "timm", "id": "resnet 50"}, "/source/id"),
        ({"type": "local", "path": "anything"}, "/source/path"),
        ({"type": "training", "id": "trn_1", "member": "c"}, "/source/member"),
        ({"type": "training", "id": "trn_1", "member": "a"}, "/source/id"),
        ({"type": "features", "upload": "upl_none"}, "/source/upload"),
        ({"type": "features", "upload": "\0"}, "/source/upload"),
    ],
)
def test_a_wrong_source_is_pointed_at(steady: Service, source: dict[str, Any], where: str) -> None:
    answer = steady.client.post("/v1/models", json={"name": "x", "source": source})
    assert pointer(answer) == where
    assert steady.client.get("/v1/models").json()["items"] == []


def test_a_wrong_builtin_is_guessed(steady: Service) -> None:
    assert "did you mean 'minilm-l6'?" in post(steady, "x", type="builtin", id="minilm-l66").json()["detail"]


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        ({"type": "huggingface", "id": "org/name", "revision": "v1.0"}, "hf:org/name@v1.0"),
        ({"type": "huggingface", "id": "gpt2"}, "hf:gpt2"),
        ({"type": "timm", "id": "resnet50.a1_in1k"}, "timm:resnet50.a1_in1k"),
    ],
)
def test_hub_models_keep_their_reference(service: Service, source: dict[str, Any], reference: str) -> None:
    made = post(service, "x", **source).json()
    with service.database.read() as connection:
        assert find(connection, principal(service), "x")["reference"] == reference
    assert made["source"] == {"revision": None, **source} if source["type"] == "huggingface" else source


@pytest.mark.parametrize("name", ["", " a", "a ", "a:b", "-a", "é", "a\nb", "x" * 201, "mdl_" + "0" * 26])
def test_a_name_has_no_room_for_what_would_mislead(steady: Service, name: str) -> None:
    assert pointer(post(steady, name, type="builtin", id="minilm-l6")) == "/name"


def test_a_taken_name_is_refused_until_it_is_deleted(service: Service) -> None:
    first = service.client.post("/v1/models", json=MINILM).json()
    again = service.client.post("/v1/models", json=MINILM)
    assert again.status_code == 409
    assert "'minilm'" in again.json()["detail"]
    assert service.client.delete(f"/v1/models/{first['id']}").status_code == 204
    assert service.client.get(f"/v1/models/{first['id']}").status_code == 404
    assert service.client.delete(f"/v1/models/{first['id']}").status_code == 404
    assert service.client.post("/v1/models", json=MINILM).status_code == 201


def test_of_many_at_once_one_gets_the_name(service: Service) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.client.post("/v1/models", json=MINILM).status_code, range(16)))
    assert sorted(answers) == [201] + 15 * [409]


def test_the_same_key_and_body_register_once(service: Service) -> None:
    headers = {"Idempotency-Key": "k"}
    first = service.client.post("/v1/models", json=MINILM, headers=headers)
    again = service.client.post("/v1/models", json=MINILM, headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert len(service.client.get("/v1/models").json()["items"]) == 1


def test_lists_are_paged_and_filtered(service: Service) -> None:
    for number in range(5):
        post(service, f"m{number}", type="builtin", id="minilm-l6" if number else "efficientnet-lite0")
    first = service.client.get("/v1/models?limit=2").json()
    assert [item["name"] for item in first["items"]] == ["m4", "m3"]
    post(service, "late", type="builtin", id="minilm-l6")
    rest = service.client.get(f"/v1/models?limit=3&cursor={first['next_cursor']}").json()
    assert [item["name"] for item in rest["items"]] == ["m2", "m1", "m0"]
    assert rest["next_cursor"] is None

    def names(query: str) -> list[str]:
        return [item["name"] for item in service.client.get(f"/v1/models?{query}").json()["items"]]

    assert names("name=m2") == ["m2"]
    assert names("modality=image") == ["m0"]
    assert names("team=nobody") == []
    assert len(names("team=default")) == 6
    assert service.client.get("/v1/models?name=%00").status_code == 422
    assert service.client.get("/v1/models/%00").status_code == 404


def test_two_teams_are_blind_to_one_another(service: Service) -> None:
    ours, theirs = bearer(service, "ours"), bearer(service, "theirs")
    made = service.client.post("/v1/models", json=MINILM, headers=ours).json()
    where = f"/v1/models/{made['id']}"
    assert service.client.get(where, headers=ours).status_code == 200
    for method in ("GET", "DELETE"):
        assert service.client.request(method, where, headers=theirs).status_code == 404
    assert service.client.get("/v1/models", headers=theirs).json()["items"] == []
    assert service.client.post("/v1/models", json=MINILM, headers=theirs).status_code == 201  # the name is free there


def test_sharing_takes_an_admin_and_gives_sight_alone(service: Service) -> None:
    admin, runner = bearer(service, "ours", "admin"), bearer(service, "ours")
    theirs = bearer(service, "theirs", "admin")
    assert post(service, "s", runner, shared=True, type="builtin", id="minilm-l6").status_code == 403
    made = post(service, "s", admin, shared=True, type="builtin", id="minilm-l6").json()
    where = f"/v1/models/{made['id']}"
    assert service.client.get(where, headers=theirs).json()["team"] == "ours"
    assert service.client.delete(where, headers=theirs).status_code == 403
    assert service.client.delete(where, headers=runner).status_code == 403
    assert service.client.delete(where, headers=admin).status_code == 204


def test_a_runner_deletes_its_own_and_an_admin_all(service: Service) -> None:
    one, other, admin = bearer(service, "t"), bearer(service, "t"), bearer(service, "t", "admin")
    reader = bearer(service, "t", "reader")
    first, second = (post(service, name, one, type="builtin", id="minilm-l6").json()["id"] for name in "ab")
    assert post(service, "c", reader, type="builtin", id="minilm-l6").status_code == 403
    assert service.client.delete(f"/v1/models/{first}", headers=other).status_code == 403
    assert service.client.delete(f"/v1/models/{first}", headers=reader).status_code == 403
    assert service.client.delete(f"/v1/models/{first}", headers=one).status_code == 204
    assert service.client.delete(f"/v1/models/{second}", headers=admin).status_code == 204


def principal(service: Service, team: str = "default") -> Principal:
    with service.database.write() as connection:
        return Principal(keys.ensure_team(service.database, connection, team), team, "admin", None)


def test_a_model_is_found_by_id_or_name_own_before_shared(service: Service) -> None:
    ours, theirs = principal(service, "ours"), principal(service, "theirs")
    shared = post(service, "m", bearer(service, "ours", "admin"), True, type="builtin", id="minilm-l6").json()
    with service.database.read() as connection:
        assert find(connection, theirs, "m")["id"] == shared["id"]
        assert find(connection, theirs, shared["id"])["name"] == "m"
    own = post(service, "m", bearer(service, "theirs"), type="builtin", id="minilm-l3").json()
    with service.database.read() as connection:
        assert find(connection, theirs, "m")["id"] == own["id"]
        assert find(connection, ours, "m")["id"] == shared["id"]
        for unknown in ("mm", "\0", "x" * 5000, ""):
            with pytest.raises(Problem) as pointed:
                find(connection, ours, unknown, "/model_a")
            assert (pointed.value.status, pointed.value.errors[0].pointer) == (422, "/model_a")
            with pytest.raises(Problem) as plain:
                find(connection, ours, unknown)
            assert plain.value.status == 404
        with pytest.raises(Problem, match="did you mean 'm'"):
            find(connection, ours, "mm", "/model_a")


def test_a_builtin_is_found_without_being_registered(service: Service) -> None:
    with service.database.read() as connection:
        row = find(connection, principal(service), "builtin:minilm-l6")
        assert (row["id"], row["reference"], row["modality"]) == ("builtin:minilm-l6", "builtin:minilm-l6", "text")
        assert row["layers"][-1] == {"name": "layer.5", "width": 384}
        assert row["poolings"] == ["mean", "last", "cls", "max"]
        assert row["source"] == {"type": "builtin", "id": "minilm-l6"}
        with pytest.raises(Problem, match="did you mean 'minilm-l6'") as error:
            find(connection, principal(service), "builtin:minilm-l66", "/model_b")
    assert error.value.errors[0].pointer == "/model_b"
    assert service.client.get("/v1/models").json()["items"] == []


def test_the_first_job_fills_in_what_only_the_model_tells(service: Service) -> None:
    made = service.client.post("/v1/models", json=MINILM).json()
    facts: dict[str, Any] = {"modality": "text", "layers": [{"name": "l", "width": 2}], "parameters": 3}
    with service.database.write() as connection:
        fill(connection, made["id"], fingerprint="f" * 64, **facts, poolings=["mean"])
        fill(connection, made["id"], fingerprint="f" * 64, **facts)  # of activations that an older version kept
        fill(connection, "builtin:minilm-l6", fingerprint="f" * 64, **facts)
    assert service.client.get(f"/v1/models/{made['id']}").json() == {
        **made,
        **facts,
        "poolings": ["mean"],
        "fingerprint": "f" * 64,
    }


def test_a_comparison_names_builtins_that_nobody_registered(service: Service) -> None:
    body = {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:language-reference"}
    made = service.client.post("/v1/comparisons", json=body)
    assert made.status_code == 202, made.text
    (listed,) = service.client.get("/v1/comparisons?model=builtin:minilm-l6").json()["items"]
    assert listed["id"] == made.json()["id"]
    wrong = service.client.post("/v1/comparisons", json={**body, "model_b": "builtin:minilm-l33"})
    assert pointer(wrong) == "/model_b"
    nowhere = service.client.post("/v1/comparisons", json={**body, "probe": "builtin:else"})
    assert pointer(nowhere) == "/probe"
