"""One pair of layers of 100,000 items: time against the matrix product's floor, and peak memory.

    .venv/bin/python -m tests.benchmarks.large

The floor is one full product `X Xᵀ` a layer, at the speed that a block of it is seen to take in the same run.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from alignment.calibration import best_interval, null_scores
from alignment.metrics import InfluencePairing, MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--permutations", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    n, width = asked.items, asked.width
    random = torch.Generator().manual_seed(0)
    latent = torch.randn(n, 30, generator=random)

    def layer() -> torch.Tensor:
        return latent @ torch.randn(30, width, generator=random) + 6 * torch.randn(n, width, generator=random)

    layers = [layer(), layer()]
    block, room = torch.randn(512, width), torch.empty(512, n)
    torch.mm(block, layers[0].T, out=room)
    start = time.perf_counter()
    for _ in range(3):
        torch.mm(block, layers[0].T, out=room)
    speed = 3 * 2 * 512 * n * width / (time.perf_counter() - start)
    del room
    floor = 2 * 2 * n**2 * width / speed
    print(f"n = {n}, width {width}, {asked.threads} threads; {speed / 1e9:.0f} GFLOP/s, floor {floor:.1f} s")
    print(f"before: peak {peak_gib():.2f} GiB, of which the activations are {2 * n * width * 4 / 2**30:.2f}")
    start = time.perf_counter()
    a, b = (Views([prepare(x, Preprocessing(clip=None))]) for x in layers)
    pairings = []
    for name in ("mutual_knn", "cka", "unbiased_cka"):
        began = time.perf_counter()
        choice = MetricChoice.of(name)
        pairing = choice.metric.pair(a, b, choice.values)
        score = float(pairing.observed())
        print(f"  {name} {score:.6f}: {time.perf_counter() - began:.1f} s")
        pairings.append(pairing)
    took = time.perf_counter() - start
    print(f"together {took:.1f} s, {took / floor:.2f} times the floor; peak {peak_gib():.2f} GiB")
    for name, pairing in zip(("mutual_knn", "cka", "unbiased_cka"), pairings, strict=True):
        began = time.perf_counter()
        null_scores(
            pairing, n, asked.permutations, seed=0, device=torch.device("cpu"), progress=lambda stage, done, total: None
        )
        each = (time.perf_counter() - began) / asked.permutations
        began = time.perf_counter()
        assert isinstance(pairing, InfluencePairing)
        best_interval(pairing, pairing.observed(), n, draws=200, level=0.95, seed=0, bounds=(-1.0, 1.0))
        print(f"  {name}: a permutation {each:.2f} s, the interval {time.perf_counter() - began:.1f} s")
    print(f"peak {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
