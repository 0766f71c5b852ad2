"""find_clusters(): an order that puts alike models together, and the groups that stand out in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from alignment.report.data import Grid
from alignment.report.study import Clusters

SUBSTANTIAL = 0.25  # a mean silhouette that is no more than this speaks of no structure (Kaufman and Rousseeuw 1990)


def find_clusters(names: Sequence[str], alignment: Grid, what: str) -> Clusters:
    """Returns the models in an order by hierarchical clustering, cut into the groups that stand out.

    The distance of two models is 1 - alignment, the mean of both directions; a pair without one is as far apart as
    unrelated models are, 1. Clusters are joined by average linkage, and the leaves ordered so that neighbours are as
    near as the tree allows, the first-named of both ends first. The groups are the cut of the tree with the greatest
    mean silhouette, the one with the fewest groups where cuts tie; all models are one group if that is not above 0.25.

    Args:
        names: the models.
        alignment: scores or calibrated scores, the diagonal left out.
        what: which of the two.

    Source: Bar-Joseph et al. 2001, Bioinformatics 17 (leaf order); Rousseeuw 1987, J. Comput. Appl. Math. 20.
    """
    # Loaded where it is used: half a second that all who only ask for studies, an API among them, would wait for.
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = distances(alignment)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    order = [int(leaf) for leaf in leaves_list(tree)]
    if order[0] > order[-1]:
        order.reverse()
    best, labels = None, np.ones(len(names), dtype=np.int64)
    for count in range(2, len(names)):
        cut = fcluster(tree, count, criterion="maxclust")
        if len(set(cut.tolist())) < 2:  # equal heights cannot be cut apart
            continue
        width = silhouette(distance, cut)
        if best is None or width > best + 1e-12:
            best = width
            labels = cut if width > SUBSTANTIAL else labels
    groups: list[list[str]] = []
    for place, leaf in enumerate(order):
        if not place or labels[leaf] != labels[order[place - 1]]:
            groups.append([])
        groups[-1].append(names[leaf])
    return Clusters(tuple(names[leaf] for leaf in order), tuple(map(tuple, groups)), best, f"1 - {what}")


def distances(alignment: Grid) -> Float[np.ndarray, "m m"]:
    """Returns 1 - alignment, symmetric, at least 0, 1 where there is none, 0 on the diagonal."""
    values = np.array([[np.nan if value is None else value for value in row] for row in alignment], dtype=np.float64)
    far = 1 - (values + values.T) / 2
    far = np.where(np.isnan(far), 1.0, far).clip(min=0)
    np.fill_diagonal(far, 0)
    return far


def silhouette(distance: Float[np.ndarray, "m m"], labels: Int[np.ndarray, " m"]) -> float:
    """Returns the mean over items of (b - a) / max(a, b): a is the mean distance within the item's cluster, b the least
    mean distance to another; an item that is alone in its cluster counts 0.

    Source: Rousseeuw 1987, J. Comput. Appl. Math. 20.
    """  # noqa: D205 - the definition is the summary
    clusters = np.unique(labels)
    widths = []
    for item, own in enumerate(labels):
        here = labels == own
        if here.sum() == 1:
            widths.append(0.0)
            continue
        within = distance[item, here].sum() / (here.sum() - 1)
        between = min(distance[item, labels == other].mean() for other in clusters if other != own)
        widths.append((between - within) / max(within, between) if max(within, between) > 0 else 0.0)
    return float(np.mean(widths))
