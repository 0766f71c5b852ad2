"""A hub of the tests' own: a real HTTP server that speaks what huggingface_hub asks of one."""

import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Repository:
    """What the hub keeps of a model or data set.

    Attributes:
        commits: by their 40 digits, each path's content.
        refs: branches and tags, each a commit; the default branch is `main`.
        refuses: the error code that it is answered with (`GatedRepo`), and the status.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    refuses: tuple[int, str] | None = None

    def push(self, files: Mapping[str, bytes] | Path, ref: str = "main") -> str:
        """Moves a branch to a new commit that holds these files; returns the commit."""
        if isinstance(files, Path):
            found = [path for path in files.rglob("*") if path.is_file()]
            files = {path.relative_to(files).as_posix(): path.read_bytes() for path in found}
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(repr((ref, len(self.commits), sorted(files.items()))).encode())
        self.commits[digest.hexdigest()] = dict(files)
        self.refs[ref] = digest.hexdigest()
        return digest.hexdigest()


class HubServer:
    """The hub; it can be stopped and started again at the same address.

    Attributes:
        repositories: by `models/ID` or `datasets/ID`.
        asked: the method and path of every request, unquoted, in order.
        tokens: what requests carried as authorization.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self._server: http.server.ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def model(self, name: str) -> Repository:
        return self.repositories.setdefault(f"models/{name}", Repository())

    def dataset(self, name: str) -> Repository:
        return self.repositories.setdefault(f"datasets/{name}", Repository())

    def start(self) -> None:
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Handler(http.server.BaseHTTPRequestHandler):
    server_hub: HubServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self.path.partition("?")[0])
        hub = self.server_hub
        hub.asked.append(f"{self.command} {path}")
        hub.tokens.append(self.headers.get("Authorization"))
        kind = "datasets" if path.startswith(("/api/datasets/", "/datasets/")) else "models"
        rest = path.removeprefix("/api").removeprefix(f"/{kind}").strip("/")
        name = max((n for n in self._names(kind) if f"{rest}/".startswith(f"{n}/")), key=len, default=None)
        if name is None:
            return self._refuse(404, "RepoNotFound")
        repository = hub.repositories[f"{kind}/{name}"]
        if repository.refuses is not None:
            return self._refuse(*repository.refuses)
        word, _, tail = rest.removeprefix(name).strip("/").partition("/")
        commit, inside = self._commit(repository, tail if word else "main")
        if commit is None:
            return self._refuse(404, "RevisionNotFound")
        files = repository.commits[commit]
        if path.startswith("/api/") and word == "tree":
            rows = [{"type": "file", "path": p, "size": len(b), "oid": "0" * 40} for p, b in sorted(files.items())]
            return self._json(rows, commit)
        if path.startswith("/api/"):
            return self._json({"id": name, "sha": commit, "siblings": [{"rfilename": p} for p in files]}, commit)
        if inside not in files:
            return self._refuse(404, "EntryNotFound")
        return self._send(200, files[inside], commit)

    def _names(self, kind: str) -> list[str]:
        return [key.partition("/")[2] for key in self.server_hub.repositories if key.startswith(f"{kind}/")]

    def _commit(self, repository: Repository, tail: str) -> tuple[str | None, str]:
        """Returns the commit that a path begins with, and the rest of the path."""
        known = {**repository.refs, **{commit: commit for commit in repository.commits}}
        for ref in sorted(known, key=len, reverse=True):
            if f"{tail}/".startswith(f"{ref}/"):
                return known[ref], tail.removeprefix(ref).strip("/")
        return None, ""

    def _json(self, value: Any, commit: str) -> None:
        self._send(200, json.dumps(value).encode(), commit)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"{}")

    def _send(self, status: int, body: bytes, commit: str) -> None:
        self.send_response(status)
        self.send_header("ETag", f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""
