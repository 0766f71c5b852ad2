"""A data set of the hub is read at one commit: its files by its README, by names, or by the hub's own conversion."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from alignment.errors import HubUnreachableError, ProbeError, ReferenceError
from alignment.hub import HuggingFaceDatasets
from alignment.hub.layout import layout_of
from alignment.probes import DatasetRef, load_probe, pin_dataset
from tests.hub import HubServer

CONVERTED = "refs/convert/parquet"


def parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def rows(*texts: str) -> bytes:
    return "".join(json.dumps({"text": text, "label": len(text)}) + "\n" for text in texts).encode()


def png(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> HuggingFaceDatasets:
    return HuggingFaceDatasets(server.url, tmp_path / "kept")


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("hf:squad", DatasetRef("squad")),
        ("hf:org/name@v1.0", DatasetRef("org/name", "v1.0")),
        ("hf:org/name:test", DatasetRef("org/name", None, "test")),
        ("hf:org/name@refs/pr/1:en/test:title", DatasetRef("org/name", "refs/pr/1", "en/test", "title")),
        ("hf:org/name::title", DatasetRef("org/name", None, None, "title")),
    ],
)
def test_a_reference_spells_its_parts(text: str, ref: DatasetRef) -> None:
    assert DatasetRef.parse(text) == ref
    assert str(ref) == text


@pytest.mark.parametrize("text", ["hf:", "hf:a/b/c", "hf:../x", "hf:a@", "hf:a@..", "hf:a:te\nst", "hf:a b"])
def test_what_spells_none_is_refused(text: str) -> None:
    with pytest.raises(ReferenceError, match="write hf:ORG/NAME"):
        DatasetRef.parse(text)


def test_shards_are_one_set_in_their_order_at_one_commit(server: HubServer, hub: HuggingFaceDatasets) -> None:
    repository = server.dataset("org/texts")
    shards = {f"data/train-{i:05}-of-00002.parquet": parquet(text=[f"t{i}{j}" for j in range(3)]) for i in range(2)}
    first = repository.push({**shards, "data/test-00000-of-00001.parquet": parquet(text=["other"])})
    probe = load_probe("hf:org/texts:train", datasets=hub)
    assert probe.texts == ("t00", "t01", "t02", "t10", "t11", "t12")
    assert probe.ids == tuple("012345")
    assert probe.name == f"hf:org/texts@{first}:train"
    assert not [path for path in server.asked if "/test-" in path]  # of a split, its own files alone
    second = repository.push({"data/train-00000-of-00001.parquet": parquet(text=["new"])})
    assert load_probe("hf:org/texts:train", datasets=hub).name == f"hf:org/texts@{second}:train"
    assert load_probe(probe.name, datasets=hub).sha256 == probe.sha256


def test_columns_are_named_as_those_of_an_upload(server: HubServer, hub: HuggingFaceDatasets) -> None:
    image = {"bytes": png(1), "path": "x.png"}
    table = parquet(caption=["a", "b"], photo=[image, image], key=["k1", "k2"], label=[0, 1])
    server.dataset("org/pairs").push({"train.parquet": table})
    named = {"text": "caption", "image": "photo", "id": "key", "target": "label"}
    probe = load_probe("hf:org/pairs", columns=named, datasets=hub)
    assert (probe.kind, probe.ids, probe.targets) == ("paired", ("k1", "k2"), (0.0, 1.0))
    assert load_probe("hf:org/pairs::caption", datasets=hub).texts == ("a", "b")
    assert load_probe("hf:org/pairs:train:photo", datasets=hub).kind == "image"
    with pytest.raises(ProbeError, match=r"neither a column 'text' nor a column 'image'.*'caption', 'photo'"):
        load_probe("hf:org/pairs", datasets=hub)


def test_the_readme_says_which_files_are_which_split(server: HubServer, hub: HuggingFaceDatasets) -> None:
    card = """---
configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: english/*.jsonl
  - split: test
    path: ["english/held/a.csv"]
- config_name: de
  data_files: german/**
---
# Texts
"""
    files = {
        "README.md": card.encode(),
        "english/one.jsonl": rows("a"),
        "english/two.jsonl": rows("b"),
        "english/held/a.csv": b"text\nc\n",
        "german/x/y.jsonl": rows("d"),
    }
    server.dataset("org/many").push(files)
    for split, texts in {
        "train": ("a", "b"),
        "test": ("c",),
        "de/train": ("d",),
        "de": ("d",),
        "en/test": ("c",),
    }.items():
        assert load_probe(f"hf:org/many:{split}", datasets=hub).texts == texts
    for split in ("", ":dev"):
        with pytest.raises(ProbeError, match="name one of de/train, en/test, en/train"):
            load_probe(f"hf:org/many{split}", datasets=hub)


@pytest.mark.parametrize(
    ("paths", "splits"),
    [
        (["train.csv", "test.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["my-dev_1.jsonl", "my-training.jsonl"], {"validation": ["my-dev_1.jsonl"], "train": ["my-training.jsonl"]}),
        (["val/b.csv", "val/a.csv"], {"validation": ["val/a.csv", "val/b.csv"]}),
        (["some.parquet", "LICENSE.txt"], {"train": ["some.parquet"]}),
        (["data/random-00000-of-00001.parquet", "x.csv"], {"random": ["data/random-00000-of-00001.parquet"]}),
        (["contest.csv"], {"train": ["contest.csv"]}),  # a word within a word is none
        ([".hidden/train.csv", "load.py", "data.zip"], {}),
    ],
)
def test_names_say_which_files_are_which_split(paths: list[str], splits: dict[str, list[str]]) -> None:
    assert layout_of(dict.fromkeys(paths, 1), None).get("default", {}) == splits


def test_a_script_is_never_run_the_hubs_own_conversion_is_read(server: HubServer, hub: HuggingFaceDatasets) -> None:
    repository = server.dataset("org/scripted")
    old = repository.push({"scripted.py": b"raise SystemExit", "data.zip": b"PK"})
    repository.push({"scripted.py": b"raise SystemExit", "data.zip": b"PK2"})
    with pytest.raises(ProbeError, match="no conversion of it to Parquet"):
        load_probe("hf:org/scripted:test", datasets=hub)
    files = {"plain/train/0000.parquet": parquet(text=["a"]), "plain/test/0000.parquet": parquet(text=["b"])}
    converted = repository.push(files, CONVERTED)
    probe = load_probe("hf:org/scripted:test", datasets=hub)
    assert (probe.texts, probe.name) == (("b",), f"hf:org/scripted@{converted}:test")
    assert load_probe(probe.name, datasets=hub).sha256 == probe.sha256
    assert not [path for path in server.asked if path.endswith((".py", ".zip"))]
    with pytest.raises(ProbeError, match="no conversion"):  # which is of the newest commit alone
        load_probe(f"hf:org/scripted@{old}:test", datasets=hub)


def test_images_with_what_is_said_of_them(server: HubServer, hub: HuggingFaceDatasets) -> None:
    said = "".join(json.dumps({"file_name": f"{i}.png", "text": f"image {i}"}) + "\n" for i in range(3)).encode()
    files = {f"train/{i}.png": png(i) for i in range(3)} | {"train/metadata.jsonl": said, "test/9.png": png(9)}
    server.dataset("org/pictures").push(files)
    probe = load_probe("hf:org/pictures:train", datasets=hub)
    assert (probe.kind, probe.texts) == ("paired", ("image 0", "image 1", "image 2"))
    assert load_probe("hf:org/pictures:test", datasets=hub).kind == "image"
    assert load_probe("hf:org/pictures:test", datasets=hub).ids == ("test/9.png",)


def test_its_size_is_known_before_anything_of_it_is_downloaded(server: HubServer, hub: HuggingFaceDatasets) -> None:
    server.dataset("org/large").push({"train.csv": b"text\n" + b"x\n" * 3_000_000})
    with pytest.raises(ProbeError, match="train has 6 MiB, and at most 2 MiB are downloaded; name a smaller split"):
        pin_dataset(DatasetRef("org/large"), hub, most=2 << 20)
    assert not [path for path in server.asked if "/resolve/" in path]


def test_what_was_read_once_needs_no_hub(server: HubServer, hub: HuggingFaceDatasets) -> None:
    server.dataset("org/texts").push({"README.md": b"# x", "train.jsonl": rows("a", "b")})
    probe = load_probe("hf:org/texts", datasets=hub)
    server.asked.clear()
    assert load_probe(probe.name, datasets=hub).sha256 == probe.sha256
    assert server.asked == []  # of a commit nothing is asked twice
    server.stop()
    try:
        assert load_probe("hf:org/texts", datasets=hub).name == probe.name
        with pytest.raises(
            HubUnreachableError, match=r"hf:org/texts@v2 cannot be reached .* is not in the local cache"
        ):
            load_probe("hf:org/texts@v2", datasets=hub)
    finally:
        server.start()


def test_offline_is_said(server: HubServer, hub: HuggingFaceDatasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachableError, match="HF_HUB_OFFLINE has the hub not asked"):
        load_probe("hf:org/texts", datasets=hub)


def test_a_damaged_copy_is_downloaded_again(server: HubServer, hub: HuggingFaceDatasets, tmp_path: Path) -> None:
    server.dataset("org/texts").push({"train.jsonl": rows("a", "b")})
    probe = load_probe("hf:org/texts", datasets=hub)
    (file,) = (tmp_path / "kept").rglob("train.jsonl")
    file.unlink()
    assert load_probe("hf:org/texts", datasets=hub).sha256 == probe.sha256


def test_what_the_hub_says_is_said_in_a_sentence(server: HubServer, hub: HuggingFaceDatasets) -> None:
    server.dataset("org/gated").refuses = (403, "GatedRepo")
    server.dataset("org/texts").push({"train.jsonl": rows("a"), "train.csv": b"text\nb\n"})
    for text, words in [
        ("hf:org/absent", "the hub has no data set 'org/absent', or it is private"),
        ("hf:org/gated", "is gated"),
        ("hf:org/texts@v9", "the data set has no revision 'v9'"),
        ("hf:org/texts", r"files of several kinds \(.csv, .jsonl\)"),
    ]:
        with pytest.raises(ProbeError, match=words):
            load_probe(text, datasets=hub)


def test_a_token_goes_only_where_it_may(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.dataset("org/texts").push({"train.jsonl": rows("a")})
    load_probe("hf:org/texts", datasets=HuggingFaceDatasets(server.url, tmp_path / "own"))
    assert set(server.tokens) == {"Bearer hf_secret"}
    server.tokens.clear()
    load_probe("hf:org/texts", datasets=HuggingFaceDatasets(server.url, tmp_path / "shared", token=False))
    assert set(server.tokens) == {None}
