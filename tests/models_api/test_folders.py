"""Models in folders of the server: only beneath a model root, only safetensors, nothing of it shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.models.service import find
from app.storage import Database
from tests.models_api.test_models import bearer, pointer, principal
from tests.service import Service, serve

BERT = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 8}


def folder(path: Path, config: dict[str, Any] | None = None, weights: str = "model.safetensors") -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(BERT if config is None else config))
    if weights.endswith(".safetensors"):
        save_file({"w": np.zeros((2, 2), np.float32)}, path / weights)
    else:
        (path / weights).write_bytes(b"\x80\x04.")
    return path


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "roots" / name for name in ("one", "two")]
    for root in made:
        root.mkdir(parents=True)
    return made


@pytest.fixture
def service(tmp_path: Path, database: Database, roots: list[Path]) -> Iterator[Service]:
    made = serve(tmp_path, database, model_roots=roots)
    with made.client:
        yield made


def post(service: Service, path: str, name: str = "m", **more: Any) -> Any:
    return service.client.post("/v1/models", json={"name": name, "source": {"type": "local", "path": path}, **more})


def refused(service: Service, roots: list[Path], path: str) -> str:
    answer = post(service, path)
    assert pointer(answer) == "/source/path"
    assert str(roots[0].parent.parent) not in answer.text.replace(path, "")
    return str(answer.json()["detail"])


def test_a_folder_beneath_any_root_is_taken(service: Service, roots: list[Path]) -> None:
    folder(roots[1] / "deep" / "bert")
    for number, path in enumerate(["deep/bert", str(roots[1] / "deep" / "bert"), "deep/../deep/bert"]):
        answer = post(service, path, f"m{number}")
        assert answer.status_code == 201, answer.text
        assert answer.json()["source"] == {"type": "local", "path": path}
        assert answer.json()["modality"] == "text"
        assert str(roots[1]) not in answer.text.replace(path, "")
        with service.database.read() as connection:
            kept = find(connection, principal(service), f"m{number}")["reference"]
        assert kept == f"path:{(roots[1] / 'deep' / 'bert').resolve()}"


def test_a_timm_folder_is_known_to_take_images(service: Service, roots: list[Path]) -> None:
    folder(roots[0] / "net", {"architecture": "resnet18"})
    assert post(service, "net").json()["modality"] == "image"


def test_other_teams_are_not_told_where_the_root_is(service: Service, roots: list[Path]) -> None:
    folder(roots[0] / "bert")
    made = post(service, str(roots[0] / "bert"), shared=True).json()
    assert made["source"]["path"] == "bert"
    seen = service.client.get(f"/v1/models/{made['id']}", headers=bearer(service, "theirs"))
    assert str(roots[0]) not in seen.text


def test_there_is_no_way_out_of_a_root(service: Service, roots: list[Path], tmp_path: Path) -> None:
    outside = folder(tmp_path / "outside")
    (roots[0] / "link").symlink_to(outside)
    (roots[0] / "circle").symlink_to(roots[0] / "circle")
    for path in ("../../outside", "/etc", str(outside), "link", "circle", "x/../../../outside", "a\0b", "y" * 900):
        refused(service, roots, path)
    partly = folder(roots[0] / "partly")
    (partly / "tokenizer.json").symlink_to("/etc/passwd")
    assert "'tokenizer.json'" in refused(service, roots, "partly")


def test_a_root_that_is_a_link_is_what_it_leads_to(service: Service, roots: list[Path], tmp_path: Path) -> None:
    roots[0].rmdir()
    folder(tmp_path / "real" / "bert")
    roots[0].symlink_to(tmp_path / "real")
    assert post(service, "bert").status_code == 201


def test_what_is_there_must_be_a_model_without_pickles(service: Service, roots: list[Path]) -> None:
    assert "there is no folder 'none'" in refused(service, roots, "none")
    (roots[0] / "file").write_text("x")
    assert "there is no folder" in refused(service, roots, "file")
    folder(roots[0] / "pickle", weights="pytorch_model.bin")
    assert "pickles" in refused(service, roots, "pickle")
    folder(roots[0] / "strange", {"model_type": "mine", "auto_map": {"AutoModel": "x.Y"}})
    assert "never run" in refused(service, roots, "strange")
    (roots[0] / "empty").mkdir()
    assert "config.json" in refused(service, roots, "empty")
    (folder(roots[0] / "torn") / "config.json").write_text("{")
    assert "JSON" in refused(service, roots, "torn")
    assert service.client.get("/v1/models").json()["items"] == []
