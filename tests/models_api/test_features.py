"""Models that are files of activations: told by their headers, pickles refused, numbers not read."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from app.models.service import find
from tests.models_api.test_models import pointer, principal
from tests.service import Service

FLOATS = np.ones((5, 3), np.float32)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def register(service: Service, name: str, data: bytes) -> Any:
    upload = service.client.post("/v1/uploads", files={"file": (name, data)})
    assert upload.status_code == 201, upload.text
    source = {"type": "features", "upload": upload.json()["id"]}
    answer = service.client.post("/v1/models", json={"name": "m", "source": source})
    assert str(service.settings.data_dir) not in answer.text
    return answer


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.npz", npz(**{"layer.10": FLOATS[:, :2], "layer.2": FLOATS, "ids": np.arange(5)})),
        ("a.NPZ", npz(x=FLOATS, y=FLOATS[:, :2], layers=np.array(json.dumps(["x", "y"])))),
        ("a.npz", npz(x=FLOATS, y=FLOATS[:, :2], layers=np.array(["x", "y"]))),
        ("a.safetensors", save({"layer.10": FLOATS[:, :2].copy(), "layer.2": FLOATS, "ids": np.arange(5)})),
        ("a.safetensors", save({"a": FLOATS[:, :2].copy(), "b": FLOATS}, {"layers": '["b", "a"]'})),
    ],
)
def test_layers_and_widths_are_known_at_once(service: Service, name: str, data: bytes) -> None:
    made = register(service, name, data)
    assert made.status_code == 201, made.text
    assert [layer["width"] for layer in made.json()["layers"]] == [3, 2]
    assert made.json()["modality"] is made.json()["parameters"] is made.json()["fingerprint"] is None
    with service.database.read() as connection:
        reference = find(connection, principal(service), "m")["reference"]
    assert reference.startswith(f"features:{service.settings.data_dir}/uploads/upl_")


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("_npy", ".npy"), data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.npz", npz(x=np.array([{}, {}], dtype=object)), "never loaded"),
        ("a.npz", npz(x=FLOATS, ids=np.array(["a", None], dtype=object)), "never loaded"),
        ("a.npz", zipped(x_npy=b"\x80\x04\x95K\x00."), "not a readable"),
        ("a.npz", zipped(x_pkl=b"\x80\x04."), "no array"),
        ("a.npz", zipped(x_npy=300_000_000 * b"\0"), "unpacks to"),
        ("a.npz", b"PK\x03\x04 and nothing more of it", "not a .npz"),
        ("a.npz", npz(), "no layer"),
        ("a.npz", npz(x=np.ones(3)), "[items, width]"),
        ("a.npz", npz(x=np.ones((3, 2), int)), "int64"),
        ("a.npz", npz(x=FLOATS, y=FLOATS[:2]), "rows"),
        ("a.npz", npz(x=FLOATS, layers=np.array('["z"]')), "names ['z']"),
        ("a.npz", npz(x=FLOATS, layers=np.array("[")), "not JSON"),
        ("a.npz", npz(x=FLOATS, layers=np.array(["x" * 1000] * 1000)), "short list"),
        ("a.safetensors", save({"x": np.ones((3, 2), np.int32)}), "I32"),
        ("a.safetensors", save({"x": FLOATS})[:-8], "not a readable"),
        ("a.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "not a readable"),
        ("a.csv", b"text\na\n", "must end in .npz"),
    ],
)
def test_what_is_no_file_of_activations_is_refused(steady: Service, name: str, data: bytes, says: str) -> None:
    answer = register(steady, name, data)
    assert pointer(answer) == "/source/upload"
    assert says in answer.json()["detail"]
    assert name in answer.json()["detail"]
