"""A comparison through the containers, in peace and with its worker killed in the middle: both must say the same."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from app.client import Client
from app.client.sources import model_named, probe_named

WORKER = "accord_worker_1"


def main() -> None:
    with Client(os.environ["ACCORD_URL"], os.environ["ACCORD_KEY"]) as client:
        ready = until(lambda: client.get("/readyz")["ready"], "the service is ready")
        print(f"ready after {ready:.0f} s:", client.get("/readyz"))
        body = {
            "model_a": model_named(client, "builtin:minilm-l6"),
            "model_b": model_named(client, "builtin:minilm-l3"),
            "probe": probe_named(client, "builtin:language-reference"),
            "metrics": ["mutual_knn", "cka"],
            "samples": 1000,
        }
        peaceful = ended(client, client.post("/v1/comparisons", {**body, "seed": 1})["id"])
        print("in peace:", best(peaceful), "attempts", peaceful["attempts"])

        # The activations that the first one made would answer the second: another name of the same, drawn anew.
        podman("exec", WORKER, "sh", "-c", "rm -rf /data/activations")
        job = client.post("/v1/comparisons", {**body, "seed": 1})["id"]
        until(lambda: (client.get(f"/v1/comparisons/{job}")["progress"] or {"done": 0})["done"] > 0, "it is under way")
        podman("kill", "--signal", "KILL", WORKER)
        print("killed", WORKER, "at", client.get(f"/v1/comparisons/{job}")["progress"])
        time.sleep(1)
        podman("start", WORKER)
        disturbed = ended(client, job)
        print("disturbed:", best(disturbed), "attempts", disturbed["attempts"])
        if peaceful["result"]["metrics"] != disturbed["result"]["metrics"]:
            sys.exit("the results differ")
        print("the results are the same to the last bit")


def ended(client: Client, job: str) -> Mapping[str, Any]:
    *_, last = client.follow(f"/v1/comparisons/{job}")
    if last["status"] != "succeeded":
        sys.exit(f"{job} {last['status']}: {last['error']}")
    return last


def best(job: Mapping[str, Any]) -> str:
    return ", ".join(f"{metric['key']} {metric['best']['score']:.6f}" for metric in job["result"]["metrics"])


def until(holds: Any, what: str, seconds: float = 120) -> float:
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        try:
            if holds():
                return time.monotonic() - started
        except Exception as error:
            last = error
        time.sleep(0.1)
    sys.exit(f"after {seconds:g} s it is not so that {what}: {locals().get('last')}")


def podman(*arguments: str) -> None:
    subprocess.run(["podman", *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    main()
