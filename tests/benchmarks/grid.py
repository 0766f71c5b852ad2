"""`make bench`: the layer grid against the paper's per-pair loop and against peers, as ratios measured in one run.

Every figure is CPU seconds of one thread, the median of a few runs. The reference is the loop of the Platonic
Representation Hypothesis's code (Huh et al. 2024), in float32 torch: for every pair of layers, both Gram matrices, and
a full sort where neighbours are wanted. It is timed on a few pairs and multiplied.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from alignment.calibration import null_scores
from alignment.metrics import MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views
from tests.benchmarks import peers

GRIDS = {"A": ((13, 768), (13, 768)), "B": ((25, 1024), (33, 768))}
ITEMS, K = 1024, 10
SEVEN = ("mutual_knn", "cycle_knn", "lcs_knn", "edit_distance_knn", "cka", "unbiased_cka", "cknna")
UNIT_ROWS = Preprocessing(clip=None, normalize=True)


def cpu(work: Callable[[], object], runs: int = 3) -> float:
    """The median CPU seconds of a few runs, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def make_layers(count: int, width: int, latent: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """Unit rows that share a latent, so that neighbourhoods overlap as those of real layers do."""
    random = torch.Generator().manual_seed(seed)
    layers = []
    for _ in range(count):
        x = latent @ torch.randn(latent.shape[1], width, generator=random)
        x = x + 6 * torch.randn(len(latent), width, generator=random)
        layers.append(torch.nn.functional.normalize(x, dim=1))
    return layers


def views(layers: list[torch.Tensor]) -> Views:
    return Views([prepare(x, UNIT_ROWS) for x in layers])


# --- the reference: the paper's loop, one pair -----------------------------------------------------------------------
def loop_neighbours(x: torch.Tensor) -> torch.Tensor:
    return (x @ x.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :K]


def loop_mutual_knn(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    n = len(x)
    rows = torch.arange(n).unsqueeze(1)
    a, b = torch.zeros(n, n), torch.zeros(n, n)
    a[rows, loop_neighbours(x)] = 1
    b[rows, loop_neighbours(y)] = 1
    return ((a * b).sum(dim=1) / K).mean()


def loop_cycle_knn(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    a, b = loop_neighbours(x), loop_neighbours(y)
    return (a[b] == torch.arange(len(x)).view(-1, 1, 1)).flatten(1).any(dim=1).float().mean()


def loop_lists(x: torch.Tensor, y: torch.Tensor, *, edit: bool) -> float:
    """The paper's own code walks the two lists of every item in Python; this walks them for all items at once."""
    a, b = loop_neighbours(x).numpy(), loop_neighbours(y).numpy()
    n = len(a)
    table = np.zeros((K + 1, K + 1, n), np.int64)
    if edit:
        table[:, 0], table[0, :] = np.arange(K + 1)[:, None], np.arange(K + 1)[:, None]
    for s in range(K):
        for t in range(K):
            equal = a[:, s] == b[:, t]
            if edit:
                table[s + 1, t + 1] = np.minimum(np.minimum(table[s, t + 1], table[s + 1, t]) + 1, table[s, t] + ~equal)
            else:
                table[s + 1, t + 1] = np.where(equal, table[s, t] + 1, np.maximum(table[s, t + 1], table[s + 1, t]))
    return float(table[K, K].mean() / K)


def hsic_unbiased(kernel: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    n = len(kernel)
    k, m = kernel.clone().fill_diagonal_(0), other.clone().fill_diagonal_(0)
    trace, sums = (k * m.T).sum(), k.sum() * m.sum() / ((n - 1) * (n - 2))
    return (trace + sums - 2 * (k @ m).sum() / (n - 2)) / (n * (n - 3))


def loop_unbiased_cka(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    k, m = x @ x.T, y @ y.T
    return hsic_unbiased(k, m) / (hsic_unbiased(k, k) * hsic_unbiased(m, m)).sqrt()


def hsic_biased(kernel: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    n = len(kernel)
    centring = torch.eye(n) - torch.ones(n, n) / n
    return torch.trace(kernel @ centring @ other @ centring)


def loop_cka(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    k, m = x @ x.T, y @ y.T
    return hsic_biased(k, m) / (hsic_biased(k, k) * hsic_biased(m, m)).sqrt()


def loop_cknna(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    k, m = x @ x.T, y @ y.T
    masks = []
    for gram in (k, m):
        nearest = gram.clone().fill_diagonal_(-torch.inf).topk(K, dim=1).indices
        masks.append(torch.zeros_like(gram).scatter_(1, nearest, 1))
    both = masks[0] * masks[1]
    own = hsic_unbiased(k * masks[0], k * masks[0]) * hsic_unbiased(m * masks[1], m * masks[1])
    return hsic_unbiased(k * both, m * both) / own.sqrt()


LOOPS: dict[str, Callable[[torch.Tensor, torch.Tensor], object]] = {
    "mutual_knn": loop_mutual_knn,
    "cycle_knn": loop_cycle_knn,
    "lcs_knn": lambda x, y: loop_lists(x, y, edit=False),
    "edit_distance_knn": lambda x, y: loop_lists(x, y, edit=True),
    "cka": loop_cka,
    "unbiased_cka": loop_unbiased_cka,
    "cknna": loop_cknna,
}


def measured(a: list[torch.Tensor], b: list[torch.Tensor], metrics: tuple[str, ...]) -> list[torch.Tensor]:
    """Every metric's grid, cold: views and all."""
    one, other = views(a), views(b)
    return [c.metric.pair(one, other, c.values).observed() for c in map(MetricChoice.of, metrics)]


def bench(name: str, console: Console, sampled: int) -> None:
    (count_a, width_a), (count_b, width_b) = GRIDS[name]
    latent = torch.randn(ITEMS, 30, generator=torch.Generator().manual_seed(0))
    a, b = make_layers(count_a, width_a, latent, 1), make_layers(count_b, width_b, latent, 2)
    pairs = count_a * count_b
    speed = 2 * ITEMS**2 * width_a / cpu(lambda: a[0] @ a[0].T, 7)
    floor = 2 * ITEMS**2 * (count_a * width_a + count_b * width_b) / speed
    table = Table(
        title=f"grid {name}: {count_a} x {count_b} layers, widths {width_a} and {width_b}, n = {ITEMS}, k = {K}, "
        f"one thread\nfloor: one full Gram a layer {floor:.2f} s at {speed / 1e9:.0f} GFLOP/s",
        title_justify="left",
    )
    for head in ("", "loop, s", "here, s", "ratio", "here / floor"):
        table.add_column(head, justify="right" if head else "left")

    loops = {}
    for metric in SEVEN:
        walk = LOOPS[metric]
        loops[metric] = pairs * cpu(lambda walk=walk: [walk(a[i], b[i]) for i in range(sampled)], 1) / sampled
    for metric in SEVEN:
        own = cpu(lambda metric=metric: measured(a, b, (metric,)))
        table.add_row(metric, f"{loops[metric]:.1f}", f"{own:.2f}", f"{loops[metric] / own:.0f}", f"{own / floor:.2f}")
    own, loop = cpu(lambda: measured(a, b, SEVEN)), sum(loops.values())
    table.add_row("the seven together", f"{loop:.0f}", f"{own:.2f}", f"{loop / own:.0f}", f"{own / floor:.2f}")
    console.print(table)

    one, other = views(a), views(b)
    nulls = Table(title=f"grid {name}: views ready, and 200 permutations", title_justify="left")
    for head in ("", "grid, s", "200 permutations, s"):
        nulls.add_column(head, justify="right" if head else "left")
    for metric in ("mutual_knn", "cka", "unbiased_cka"):
        choice = MetricChoice.of(metric)
        choice.metric.pair(one, other, choice.values).observed()
        ready = cpu(lambda c=choice: c.metric.pair(one, other, c.values).observed())
        pairing = choice.metric.pair(one, other, choice.values)
        shuffled = cpu(
            lambda p=pairing: null_scores(
                p, ITEMS, 200, seed=0, device=torch.device("cpu"), progress=lambda stage, done, total: None
            ),
            1,
        )
        nulls.add_row(metric, f"{ready:.3f}", f"{shuffled:.2f}")
    console.print(nulls)
    peers.pytorch_cka(name, a, b, lambda: measured(a, b, ("unbiased_cka",))[0], cpu, console)
    peers.calibrated_similarity(name, a, b, LOOPS, cpu, console)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", choices=[*GRIDS, "all"], default="all")
    parser.add_argument("--sampled", type=int, default=4, help="pairs that the reference loop is timed on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in GRIDS if arguments.grid == "all" else [arguments.grid]:
        bench(name, Console(width=110), arguments.sampled)


if __name__ == "__main__":
    main()
