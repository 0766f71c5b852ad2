"""Keys and activations for the store's tests, made alike in every process."""

import sys
import time
from pathlib import Path

import torch

from alignment.activations import Activations, Origin
from alignment.extraction import ActivationStore, Facts, Key
from alignment.models import Layer

FACTS = Facts((Layer("layer.0", 8), Layer("layer.1", 8), Layer("layer.2", 8)), "float32", "cpu")
SHARD = 10 * 8 * 4  # ten rows a file


def key(name: str = "m", **changed) -> Key:
    fields = {"items": "i", "view": None, "layers": "all", "pooling": "mean", "dtype": "auto", "device": "auto"}
    return Key(**{"model": name, "code": "{}", **fields, **changed})


def made(seed: int = 0, items: int = 35, dtype: torch.dtype = torch.float32) -> Activations:
    draw = torch.Generator().manual_seed(seed)
    values = tuple(torch.randn(items, 8, generator=draw, dtype=torch.float64).to(dtype) for _ in range(3))
    ids = tuple(f"item {i}" for i in range(items))
    origin = Origin("path:m", f"{seed:064d}", "text", 7, "mean")
    return Activations(("layer.0", "layer.1", "layer.2"), values, ids, origin)


def same(a: Activations | None, b: Activations) -> bool:
    return (
        a is not None
        and (a.layers, a.ids, a.origin) == (b.layers, b.ids, b.origin)
        and all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a.values, b.values, strict=True))
    )


def store(folder: Path | str) -> ActivationStore:
    return ActivationStore(Path(folder), shard_bytes=SHARD)


def main(task: str, folder: str) -> None:
    """What the tests run in processes of their own."""
    if task == "race":  # everyone writes the same keys, and reads what is there meanwhile
        Path(folder, f"ready-{time.monotonic_ns()}").touch()
        while not Path(folder, "go").exists():
            time.sleep(0.001)
        for number in range(8):
            found = store(folder).read(key(str(number)))
            if found is not None and not same(found, made(number)):
                sys.exit("read something else than was written")
            store(folder).write(key(str(number)), made(number), FACTS)
            if not same(store(folder).read(key(str(number))), made(number)):
                sys.exit("what was written is not there")
    elif task == "slow":  # writes for ever, a file at a time
        from alignment.extraction import entry

        write = entry.write_file

        def slowly(path: Path, data: bytes) -> None:
            write(path, data)
            print(path.name, flush=True)
            time.sleep(0.05)

        entry.write_file = slowly
        store(folder).write(key(), made(), FACTS)


if __name__ == "__main__":
    main(*sys.argv[1:])
