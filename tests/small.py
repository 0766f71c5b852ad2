"""A probe set and models small enough to be compared in a moment, registered with a service over HTTP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.client import Client


def register(client: Client, folder: Path, models: Sequence[str], probe: str, items: int = 200) -> None:
    """Registers a list of texts, and files of activations of six layers each that share most of what they say."""
    random = np.random.default_rng(0)
    latent = random.normal(size=(items, 8))
    texts = folder / "items.txt"
    texts.write_text("".join(f"item {number}\n" for number in range(items)))
    client.upload("/v1/probes", texts, name=probe)
    for name in models:
        file = folder / f"{name}.npz"
        layers = {f"layer.{depth}": latent @ random.normal(size=(8, 16)) for depth in range(6)}
        np.savez(file, **{layer: values.astype(np.float32) for layer, values in layers.items()})
        upload = client.upload("/v1/uploads", file)["id"]
        client.post("/v1/models", {"name": name, "source": {"type": "features", "upload": upload}})
