"""The OpenAPI document: each change of it is seen, and every field says what it is.

python -m tests.api.test_openapi        writes the snapshot
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from app.storage import Database

SNAPSHOT = Path(__file__).parent / "openapi.json"
# FastAPI's own, of a multipart body: its fields are described where they are taken.
_NOT_OURS = ("HTTPValidationError", "ValidationError")


def application(folder: Path) -> FastAPI:
    return create_app(Settings(data_dir=folder, _env_file=None), Database(f"sqlite:///{folder}/accord.db"))


def written(document: dict[str, Any]) -> str:
    return json.dumps({**document, "info": {**document["info"], "version": "0"}}, indent=1, sort_keys=True) + "\n"


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return application(tmp_path).openapi()


def test_it_is_what_it_was(document: dict[str, Any]) -> None:
    assert written(document) == SNAPSHOT.read_text(), (
        "the API has changed; if it was meant to, run `python -m tests.api.test_openapi` and look at the difference"
    )


def test_every_field_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    told = dict(fields(document))
    for known in ("TrainingFound.alignment", "PairAlignment.cka_min", "PairAlignment.mutual_knn", "Page_Probe_.items"):
        assert known in told
    assert any(where.startswith("/v1/probes/post/requestBody") and where.endswith(".file") for where in told)
    missing = [where for where, field in fields(document) if not has_both(field)]
    assert not missing


def test_every_operation_says_what_it_does_and_what_it_may_answer(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert operation.get("description"), where
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), (where, parameter["name"])
            assert any(status.startswith("2") for status in operation["responses"]), where
            if path.startswith("/v1/"):
                assert {"401", "429", "500"} <= set(operation["responses"]), where


def test_the_contracts_paths_are_there(document: dict[str, Any]) -> None:
    paths = {(method, path.replace("_id}", "}")) for path, methods in document["paths"].items() for method in methods}
    for method, path in CONTRACT:
        assert any(m == method and same(p, path) for m, p in paths), (method, path)


CONTRACT = [
    ("get", "/v1/metrics"),
    *[(m, "/v1/models") for m in ("get", "post")],
    *[(m, "/v1/models/*") for m in ("get", "delete")],
    *[(m, "/v1/probes") for m in ("get", "post")],
    *[(m, "/v1/probes/*") for m in ("get", "delete")],
    ("get", "/v1/probes/*/preview"),
    ("post", "/v1/uploads"),
    ("post", "/v1/webhook-secret"),
    *[(m, f"/v1/{noun}") for noun in ("comparisons", "studies", "trainings") for m in ("get", "post")],
    *[("get", f"/v1/{noun}/*") for noun in ("comparisons", "studies", "trainings")],
    *[("post", f"/v1/{noun}/*/cancel") for noun in ("comparisons", "studies", "trainings")],
    *[("get", f"/v1/{noun}/*/events") for noun in ("comparisons", "studies", "trainings")],
    ("get", "/v1/comparisons/*/grid"),
    ("get", "/v1/comparisons/*/heatmap"),
    ("get", "/v1/studies/*/matrix"),
    *[(m, "/v1/schedules") for m in ("get", "post")],
    *[(m, "/v1/schedules/*") for m in ("get", "patch", "delete")],
    ("post", "/v1/schedules/*/run"),
    ("get", "/v1/schedules/*/runs"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
]


def same(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(
        part == want or (want == "*" and part.startswith("{")) for part, want in zip(parts, wanted, strict=True)
    )


def fields(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every parameter, and every field of every object that is described anywhere: beneath paths, in components."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                yield f"{method} {path} {parameter['name']}", {**parameter["schema"], **parameter}
    roots = {**document["components"]["schemas"], **document["paths"]}
    for name, root in roots.items():
        if name not in _NOT_OURS:
            yield from beneath(name, root)


def beneath(where: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        for place, item in enumerate(node):
            yield from beneath(f"{where}/{place}", item)
    elif isinstance(node, dict):
        for name, field in (node.get("properties") or {}).items():
            yield f"{where}.{name}", field
        for key, item in node.items():
            if key not in ("example", "examples"):
                yield from beneath(f"{where}/{key}", item)


def has_both(field: dict[str, Any]) -> bool:
    return bool(field.get("description")) and bool({"const", "examples", "example"} & set(field))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SNAPSHOT.write_text(written(application(Path(folder)).openapi()))
