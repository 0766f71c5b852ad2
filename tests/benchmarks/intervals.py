"""What a study's intervals cost: CPU seconds with the default 200 resamples, and with none.

    .venv/bin/python -m tests.benchmarks.intervals             # 4 and 8 models: some minutes on one core
    .venv/bin/python -m tests.benchmarks.intervals --models 64

Models are files of activations: 13 layers of width 384 of 1,024 items, as a small BERT has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from alignment.calibration import Calibration
from alignment.comparison import Scoring
from alignment.metrics import parse_metrics
from alignment.study import Study, study

ITEMS, LAYERS, WIDTH = 1024, 13, 384


def plant(folder: Path, count: int) -> tuple[str, ...]:
    """Returns models that share a latent, in part."""
    draw = np.random.default_rng(0)
    latent = draw.normal(size=(ITEMS, 32))
    names = []
    for number in range(count):
        layers = {
            f"layer.{depth}": latent @ draw.normal(size=(32, WIDTH)) + draw.normal(size=(ITEMS, WIDTH))
            for depth in range(LAYERS)
        }
        file = folder / f"m{number}.npz"
        np.savez(file, **{name: values.astype(np.float32) for name, values in layers.items()})
        names.append(f"features:{file}")
    return tuple(names)


def seconds(models: tuple[str, ...], probe: Path, metric: str, resamples: int) -> float:
    """Returns the CPU seconds of a study."""
    calibration = Calibration(resamples=resamples)
    request = Study(models, str(probe), Scoring(parse_metrics([metric]), calibration=calibration, device="cpu"))
    start = time.process_time()
    study(request)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[4, 8])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title=f"{LAYERS} layers of width {WIDTH}, {ITEMS} items, 200 permutations", title_justify="left")
    for head in ("models", "metric", "no intervals", "200 resamples", "ratio"):
        table.add_column(head, justify="right", no_wrap=True)
    with tempfile.TemporaryDirectory() as name:
        probe = Path(name) / "items.txt"
        probe.write_text("".join(f"item {row}\n" for row in range(ITEMS)))
        for count in asked.models:
            models = plant(Path(name), count)
            for metric in ("mutual_knn", "cka"):
                bare, whole = (seconds(models, probe, metric, resamples) for resamples in (0, 200))
                table.add_row(str(count), metric, f"{bare:.1f} s", f"{whole:.1f} s", f"{whole / bare:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
