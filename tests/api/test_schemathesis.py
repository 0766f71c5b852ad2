"""Schemathesis asks the real server, over HTTP, for everything that its OpenAPI document says it takes, and more."""

import re
import subprocess
import sys
from pathlib import Path

from app.client import Client
from app.client.local import LocalService
from app.teams import keys
from tests.hub import HubServer
from tests.small import register

EXAMPLES = 12  # an operation; `python -m tests.api.test_schemathesis 200` asks for more


def ask(folder: Path, database: str, examples: int) -> subprocess.CompletedProcess[str]:
    key = keys.generate()
    (folder / "key").write_text(key)
    hub = HubServer()
    hub.dataset("org/captions").push({"data/test-00000-of-00001.jsonl": b'{"caption": "a cat"}\n'})
    settings = {
        "ACCORD_DATABASE_URL": database,
        "ACCORD_DEVICES": "cpu",
        "ACCORD_RATE_LIMIT": "1000000/minute",
        "ACCORD_BOOTSTRAP_KEY_FILE": str(folder / "key"),
        "ACCORD_HUB_ENDPOINT": hub.url,
    }
    with LocalService.start(folder, settings) as service:
        with Client(service.url, key) as client:  # what the document's examples name
            register(client, folder, ("minilm", "efficientnet"), "captions")
            # Drawn once by a process, which takes seconds: more on a busy machine than an answer may take.
            client.post("/v1/probes", {"name": "drawn", "source": {"type": "builtin", "id": "emoji"}})
            client.get("/openapi.json")  # made once, too
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
            *(
                "run",
                f"{service.url}/openapi.json",
                "--checks",
                "all",
                "--phases",
                "examples,coverage,fuzzing,stateful",
            ),
            *("--max-examples", str(examples), "--seed", "1", "--request-timeout", "20", "--no-color"),
            *("--header", f"Authorization: Bearer {key}"),
            # The same Idempotency-Key gets the first answer again, also of what was deleted since.
            *("--exclude-checks", "ensure_resource_availability"),
            # A stream of events ends with its job, and these end when a worker has done them.
            *("--exclude-path-regex", "/events$"),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=1500, cwd=folder)


def test_it_finds_nothing(tmp_path: Path, database_url: str) -> None:
    found = ask(tmp_path, database_url, EXAMPLES)
    assert found.returncode == 0, found.stdout[-8000:]
    assert re.search(r"[1-9]\d* (test cases )?generated", found.stdout), found.stdout[-2000:]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        print(
            ask(Path(place), f"sqlite:///{place}/accord.db", int(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES).stdout
        )
