"""A hub answers with a commit and a folder, or within seconds with one clear sentence."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alignment.errors import HubUnreachableError, ModelError
from alignment.models import FakeHub, HuggingFaceHub, load_encoder, resolve
from alignment.references import ModelRef
from tests.hub import HubServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def running() -> Iterator[HubServer]:
    made = HubServer()
    made.model("org/known").push({"config.json": b"{}"})
    made.model("org/gated").refuses = (403, "GatedRepo")
    made.model("org/broken").refuses = (500, "Broken")
    yield made
    made.stop()


@pytest.fixture
def closed() -> str:
    """The address of a port on loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_closed_port_is_answered_within_seconds(closed: str, tmp_path: Path) -> None:
    hub = HuggingFaceHub(endpoint=closed, folder=tmp_path)
    start = time.monotonic()
    with pytest.raises(HubUnreachableError, match=r"hf:org/name cannot be reached .* name it path:DIR"):
        hub.commit("org/name", None)
    with pytest.raises(HubUnreachableError, match=r"cannot be reached .* name it path:DIR"):
        load_encoder(ModelRef("hf", "org/name", COMMIT), hub=hub)
    assert time.monotonic() - start < 15


def test_a_hub_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hub = HuggingFaceHub(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path, timeout=0.5)
        start = time.monotonic()
        with pytest.raises(HubUnreachableError):
            hub.commit("org/name", "main")
        assert time.monotonic() - start < 15


def test_what_the_cache_holds_answers_where_the_hub_does_not(closed: str, tmp_path: Path) -> None:
    kept = tmp_path / "models--org--name"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "v1").write_text(COMMIT)
    (kept / "snapshots" / COMMIT).mkdir(parents=True)
    (kept / "snapshots" / COMMIT / "config.json").write_text("{}")
    hub = HuggingFaceHub(endpoint=closed, folder=tmp_path)
    assert hub.commit("org/name", "v1") == COMMIT
    assert hub.commit("org/name", COMMIT) == COMMIT
    with pytest.raises(HubUnreachableError):
        hub.commit("org/name", "v2")


def test_what_the_hub_says_is_said_in_a_sentence(running: HubServer, tmp_path: Path) -> None:
    hub = HuggingFaceHub(endpoint=running.url, folder=tmp_path)
    assert hub.commit("org/known", None) == running.model("org/known").refs["main"]
    for model, revision, words in [
        ("org/known", "nope", "has no revision 'nope'"),
        ("org/gated", None, "is gated: accept its terms"),
        ("org/absent", None, "the hub has no model 'org/absent', or it is private"),
        ("org/broken", None, "cannot be reached"),
        ("org/--bad..name", None, "is not a model's name"),
    ]:
        with pytest.raises((ModelError, HubUnreachableError), match=words):
            hub.commit(model, revision)


def test_a_download_fetches_no_pickle_and_no_code_and_then_needs_no_hub(
    running: HubServer,
    closed: str,
    text_folder: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = text_folder("bert")
    good = {file.name: file.read_bytes() for file in source.iterdir()}
    bad = {"pytorch_model.bin": b"x", "modeling.py": b"x", "onnx/config.json": b"{}", "README.md": b"x"}
    commit = running.model("org/whole").push({**good, **bad})
    capfd.readouterr()
    encoder = load_encoder(ModelRef("hf", "org/whole"), hub=HuggingFaceHub(running.url, tmp_path))
    assert capfd.readouterr() == ("", "")
    assert encoder.reference == f"hf:org/whole@{commit}"
    assert encoder.fingerprint == load_encoder(ModelRef("path", str(source))).fingerprint
    assert not [path for path in running.asked if path.endswith(tuple(bad))]
    away = load_encoder(ModelRef("hf", "org/whole", commit), hub=HuggingFaceHub(closed, tmp_path))
    assert away.fingerprint == encoder.fingerprint


def test_a_fake_hub_resolves_and_downloads(text_folder: Callable[[str], Path]) -> None:
    hub = FakeHub({"org/tiny": {"main": text_folder("bert"), "v1": text_folder("gpt2")}})
    main, tagged = (resolve(ModelRef.parse(f"hf:org/tiny{at}"), hub) for at in ("", "@v1"))
    assert main.revision is not None
    assert len(main.revision) == 40
    assert main != tagged
    assert resolve(main, hub) == main
    encoder = load_encoder(ModelRef.parse("hf:org/tiny@v1"), hub=hub)
    assert encoder.reference == str(tagged)
    assert hub.downloads == [("org/tiny", tagged.revision)]
    with pytest.raises(ModelError, match="no revision 'v2'; it has: main, v1"):
        hub.commit("org/tiny", "v2")
    with pytest.raises(ModelError, match="the hub has no model 'org/x'; it has: org/tiny"):
        hub.commit("org/x", None)
    with pytest.raises(ModelError, match="has no revision"):
        hub.download("org/tiny", COMMIT)


def test_other_references_resolve_to_themselves(tmp_path: Path) -> None:
    hub = FakeHub({})
    for text in ("builtin:minilm-l6", f"path:{tmp_path}", "features:x.npz"):
        assert resolve(ModelRef.parse(text), hub) == ModelRef.parse(text)
    assert resolve(ModelRef.parse("timm:a.b"), FakeHub({"timm/a.b": {"main": tmp_path}})).name == "a.b"
