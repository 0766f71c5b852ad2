"""A hub answers with a commit and a folder, or within seconds with one clear sentence."""

import hashlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from alignment.errors import ModelError
from alignment.models import FakeHub, HuggingFaceHub, load_encoder, resolve
from alignment.models.hub import HubUnreachableError
from alignment.references import ModelRef

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Answers(http.server.BaseHTTPRequestHandler):
    """The API of a hub: `org/known` exists, `org/gated` is gated, nothing else does.

    Attributes:
        files: what `org/known` holds at its one commit.
        fetched: the paths that were asked for.
    """

    files: ClassVar[dict[str, bytes]] = {}
    fetched: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.fetched.append(path)
        resolve = f"/org/known/resolve/{COMMIT}/"
        if path == f"/api/models/org/known/tree/{COMMIT}":
            rows = [{"type": "file", "path": p, "size": len(b), "oid": "0" * 40} for p, b in self.files.items()]
            self.answer(200, json.dumps(rows).encode())
        elif path == f"/api/models/org/known/revision/{COMMIT}":
            siblings = [{"rfilename": name} for name in self.files]
            self.answer(200, json.dumps({"id": "org/known", "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(resolve):
            self.answer(200, self.files[path.removeprefix(resolve)])
        elif path == "/api/models/org/known":
            self.answer(200, json.dumps({"id": "org/known", "sha": COMMIT}).encode())
        elif self.path.startswith("/api/models/org/known/revision/"):
            self.answer(404, b"{}", "RevisionNotFound")
        elif self.path.startswith("/api/models/org/gated"):
            self.answer(403, b"{}", "GatedRepo")
        elif self.path.startswith("/api/models/org/broken"):
            self.answer(500, b"{}")
        else:
            self.answer(404, b"{}", "RepoNotFound")

    def answer(self, status: int, body: bytes, code: str | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("ETag", f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def closed() -> str:
    """The address of a port on loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_closed_port_is_answered_within_seconds(closed: str, tmp_path: Path) -> None:
    hub = HuggingFaceHub(endpoint=closed, folder=tmp_path)
    start = time.monotonic()
    with pytest.raises(ModelError, match=r"hf:org/name cannot be reached .* name it path:DIR"):
        hub.commit("org/name", None)
    with pytest.raises(ModelError, match=r"cannot be reached .* name it path:DIR"):
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


def test_what_the_hub_says_is_said_in_a_sentence(server: str, tmp_path: Path) -> None:
    hub = HuggingFaceHub(endpoint=server, folder=tmp_path)
    assert hub.commit("org/known", None) == COMMIT
    for model, revision, words in [
        ("org/known", "nope", "has no revision 'nope'"),
        ("org/gated", None, "is gated: accept its terms"),
        ("org/absent", None, "the hub has no model 'org/absent', or it is private"),
        ("org/broken", None, "cannot be reached"),
        ("org/--bad..name", None, "is not a model's name"),
    ]:
        with pytest.raises(ModelError, match=words):
            hub.commit(model, revision)


def test_a_download_fetches_no_pickle_and_no_code_and_then_needs_no_hub(
    server: str,
    closed: str,
    text_folder: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = text_folder("bert")
    good = {file.name: file.read_bytes() for file in source.iterdir()}
    bad = {"pytorch_model.bin": b"x", "modeling.py": b"x", "onnx/config.json": b"{}", "README.md": b"x"}
    monkeypatch.setattr(Answers, "files", {**good, **bad})
    monkeypatch.setattr(Answers, "fetched", [])
    capfd.readouterr()
    encoder = load_encoder(ModelRef("hf", "org/known"), hub=HuggingFaceHub(server, tmp_path))
    assert capfd.readouterr() == ("", "")
    assert encoder.reference == f"hf:org/known@{COMMIT}"
    assert encoder.fingerprint == load_encoder(ModelRef("path", str(source))).fingerprint
    assert not [path for path in Answers.fetched if path.endswith(tuple(bad))]
    away = load_encoder(ModelRef("hf", "org/known", COMMIT), hub=HuggingFaceHub(closed, tmp_path))
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
