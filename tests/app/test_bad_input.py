"""What cannot be done is answered with one sentence on stderr and exit status 2, and leaves nothing behind."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

Accord = Callable[[str], Any]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    """Lays out, in the folder where `accord` runs, good files and bad ones."""
    x = noise(0)
    hole = x.copy()
    hole[7, 3] = np.nan
    ids = np.arange(40)
    np.savez(tmp_path / "x.npz", **{"layer.0": x, "layer.1": noise(1)})
    np.savez(tmp_path / "short.npz", h=x[:30])
    np.savez(tmp_path / "few.npz", h=x[:5])
    np.savez(tmp_path / "nan.npz", h=hole)
    np.savez(tmp_path / "inf.npz", h=np.where(np.isnan(hole), np.inf, hole))
    np.savez(tmp_path / "object.npz", h=np.array([{}, 1], dtype=object))
    np.savez(tmp_path / "whole.npz", h=ids.reshape(20, 2))
    np.savez(tmp_path / "flat.npz", h=x[0])
    np.savez(tmp_path / "none.npz")
    np.savez(tmp_path / "ids.npz", h=x, ids=ids)
    np.savez(tmp_path / "turned.npz", h=x, ids=ids[::-1])
    np.savez(tmp_path / "others.npz", h=x, ids=ids + 1)
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:900])
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"h": x}))
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("hello.txt", "hello")
    save_file({"h": torch.tensor(x)}, tmp_path / "x.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:-9])
    (tmp_path / "texts.txt").write_text("\n".join(f"text {i}" for i in range(40)))
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "bad.csv").write_bytes(b"text\n\xff\xfe\xfd\n")
    (tmp_path / "pictures").mkdir()
    for name, cut in (("good.png", None), ("broken.png", 60)):
        data = io.BytesIO()
        Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(data, "PNG")
        (tmp_path / "pictures" / name).write_bytes(data.getvalue()[:cut])


def refused(accord: Accord, line: str, *parts: str) -> None:
    before = sorted(Path.cwd().rglob("*"))
    answer = accord(line)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("accord: ")
    assert answer.err.endswith("\n")
    assert answer.err.count("\n") == 1
    assert not [part for part in parts if part not in answer.err]
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("x.npz missing.npz", ["there is no file missing.npz", "accord extract"]),
        ("x.npz texts.txt", ["texts.txt", "must end in .npz or .safetensors"]),
        ("x.npz pictures", ["pictures", "must end in"]),
        ("x.npz short.npz", ["40 and 30 rows", "the same items in the same order"]),
        ("ids.npz others.npz", ["other ids", "extract both from one probe set", "row 0 is '0' and '1'"]),
        ("ids.npz turned.npz", ["same ids in another order", "sort both alike"]),
        ("few.npz few.npz", ["mutual_knn needs at least 11 items, and there are 5", "take more"]),
        (
            "few.npz few.npz --metric svcca --metric cknna",
            ["cknna needs at least 11 items, the other metrics no fewer"],
        ),
        ("nan.npz x.npz", ["nan.npz", "layer 'h' has NaN or Inf in row 7", "remove that item"]),
        ("x.npz inf.npz", ["inf.npz", "NaN or Inf in row 7"]),
        ("object.npz x.npz", ["object arrays or pickles", "save plain float arrays"]),
        ("pickle.npz x.npz", ["pickle.npz", "write it anew"]),
        ("whole.npz x.npz", ["holds int64", "write float16, float32 or float64"]),
        ("flat.npz x.npz", ["has shape [6]", "[items, width]"]),
        ("none.npz x.npz", ["holds no layer", "write one 2-D array"]),
        ("empty.npz x.npz", ["empty.npz", "write it anew"]),
        ("cut.npz x.npz", ["cut.npz", "write it anew"]),
        ("zip.npz x.npz", ["zip.npz", "'hello.txt'", "write it anew"]),
        ("cut.safetensors x.npz", ["cut.safetensors", "write it anew"]),
    ],
)
def test_files_of_activations(accord: Accord, line: str, parts: list[str]) -> None:
    refused(accord, f"score {line} --out out", *parts)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--metric mutual_kn", ["there is no metric 'mutual_kn'", "did you mean 'mutual_knn'?"]),
        ("--metric ''", ["there is no metric ''", "choose from: mutual_knn"]),
        ("--metric cka:kernl=rbf", ["parameter of cka 'kernl'", "did you mean 'kernel'?"]),
        ("--metric cka:kernel=rbff", ["kernel must be 'linear' or 'rbf', not 'rbff'"]),
        ("--metric mutual_knn:k=ten", ["k must be a whole number of at least 1, not 'ten'"]),
        ("--metric mutual_knn:k=0", ["k must be a whole number of at least 1"]),
        ("--metric mutual_knn:k", ["write its parameters as mutual_knn:key=value"]),
        ("--metric mutual_knn:k=40", ["needs at least 41 items, and there are 40", "a smaller k"]),
        ("--metric cka --metric mutual_knn:k=40", ["mutual_knn:k=40 needs at least 41 items, and there are 40"]),
        ("--metric cka --metric cka", ["a metric is named twice"]),
        ("--layers layr.1", ["there is no layer 'layr.1'", "did you mean 'layer.1'?"]),
        ("--layers 2", ["there is no layer 2", "0 to 1"]),
        ("--layers=--1", ["there is no layer '--1'"]),
        ("--layers ''", ["there is no layer ''"]),
        ("--layers 0,0", ["none twice"]),
        ("--layers a=0 --layers last", ["--layers is given twice for side a", "--layers a=…"]),
        ("--seed -1", ["seed must be between 0"]),
        ("--seed x", ["'--seed'", "integer", "see `accord score --help`"]),
        ("--permutations -1", ["permutations must be between 0 and 100000, not -1"]),
        ("--resamples 1e9", ["'--resamples'", "integer"]),
        ("--device tpu", ["device must be auto, cpu or cuda:N, not 'tpu'"]),
        ("--device cuda:99", ["there is no device 'cuda:99' here"]),
        ("--metrc cka", ["--metrc", "--metric", "see `accord score --help`"]),
        ("extra.npz", ["extra.npz", "see `accord score --help`"]),
        ("--json=1", ["--json"]),
        ("--out", ["--out", "requires an argument"]),
        ("--out x.npz", ["--out x.npz is a file", "name a folder"]),
        ("--out no/such/folder", ["there is no folder", "no/such"]),
        ("--out texts.txt/sub", ["there is no folder", "texts.txt"]),
    ],
)
def test_options(accord: Accord, options: str, parts: list[str]) -> None:
    refused(accord, f"score x.npz x.npz {options}", *parts)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (
            "compare nonsense features:x.npz --probe texts.txt",
            ["does not name a model", "did you mean 'builtin:nonsense'?"],
        ),
        ("compare features:x.npz hf:a/b/c --probe texts.txt", ["write hf:ORG/NAME"]),
        ("compare builtin:minilm-16 features:x.npz --probe texts.txt", ["did you mean 'minilm-l6'?"]),
        ("compare path:missing features:x.npz --probe texts.txt", ["path:missing", "config.json"]),
        ("compare features:missing.npz features:x.npz --probe texts.txt", ["there is no file missing.npz"]),
        ("compare features:short.npz features:x.npz --probe texts.txt", ["30 rows and no ids", "40 items", "'ids'"]),
        ("compare features:others.npz features:x.npz --probe texts.txt", ["no row for item", "1 are missing"]),
        ("compare features:x.npz features:x.npz --probe missing.txt", ["'missing.txt'", "builtin:emoji"]),
        ("compare features:x.npz features:x.npz --probe empty.txt", ["'empty.txt' has no items", "give"]),
        ("compare features:x.npz features:x.npz --probe bad.csv", ["bad.csv", "UTF-8"]),
        ("compare features:x.npz features:x.npz --probe builtin:emojis", ["did you mean 'emoji'?"]),
        ("compare features:x.npz features:x.npz --probe hf:org/data@", ["write hf:ORG/NAME[@REVISION]"]),
        ("compare features:x.npz features:x.npz --probe texts.txt --samples 5", ["at least 11 items, and there are 5"]),
        ("compare features:x.npz features:x.npz --probe texts.txt --samples 0", ["samples must be at least 1, not 0"]),
        ("compare features:x.npz features:x.npz --probe texts.txt --pooling a=avg", ["no pooling 'avg'", "mean, last"]),
        ("compare features:x.npz features:x.npz --probe texts.txt --dtype int8", ["no dtype 'int8'", "bfloat16"]),
        ("compare features:x.npz features:x.npz --probe texts.txt --out x.npz", ["--out x.npz is a file"]),
        ("compare features:x.npz features:x.npz", ["'--probe'", "see `accord compare --help`"]),
        ("extract features:x.npz --probe texts.txt --out o.txt", ["o.txt", "must end in .npz or .safetensors"]),
        ("extract features:x.npz --probe texts.txt --out no/o.npz", ["there is no folder no"]),
        ("extract features:x.npz --probe texts.txt --out o.npz --side c", ["there is no side 'c'"]),
        ("extract features:x.npz --probe texts.txt --out o.npz --layers 5", ["there is no layer 5"]),
        ("demo --out x.npz", ["--out x.npz is a file"]),
        ("scor x.npz x.npz", ["'scor'", "'score'", "see `accord --help`"]),
        ("--bogus", ["--bogus", "see `accord --help`"]),
        ("metrics cka", ["cka", "see `accord metrics --help`"]),
    ],
)
def test_commands(accord: Accord, line: str, parts: list[str]) -> None:
    refused(accord, line, *parts)


@pytest.mark.weights
def test_a_model_that_the_probe_set_is_not_for_and_a_broken_image(accord: Accord) -> None:
    text, image = "builtin:minilm-l6", "builtin:efficientnet-lite0"
    refused(accord, f"compare {text} {text} --probe pictures --metric cka --samples 3", "needs at least 3 items")
    for name in ("another.png", "third.png"):
        Path("pictures", name).write_bytes(Path("pictures", "good.png").read_bytes())
    refused(accord, f"compare {text} {image} --probe texts.txt", "'texts.txt' has text but the model takes image")
    refused(accord, f"compare {text} {text} --probe pictures --metric cka", "has image but the model takes text")
    refused(accord, f"compare {text} {text} --probe texts.txt --layers layer.9", "there is no layer 'layer.9'")
    refused(accord, f"extract {image} --probe pictures --out o.npz", "image 'broken.png' cannot be decoded", "replace")
    refused(accord, f"extract {image} --probe pictures --out o.npz --pooling cls", "cannot pool by 'cls'", "mean, max")
