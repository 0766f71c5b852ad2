"""Each metric's definition, written out in float64 numpy, one item or pair at a time, with nothing shared.

These are what the fast versions are held to. They are slow on purpose: a loop that can be read beside the paper.
"""

from __future__ import annotations

import numpy as np


def neighbours(X, k):
    """The k others of largest inner product, ties to the lower index."""
    n = len(X)
    lists = []
    for i in range(n):
        products = [(-sum(float(p) for p in X[i] * X[j]), j) for j in range(n) if j != i]
        lists.append([j for _, j in sorted(products)[:k]])
    return lists


def mutual_knn(X, Y, k=10):
    a, b = neighbours(X, k), neighbours(Y, k)
    return np.mean([len(set(p) & set(q)) / k for p, q in zip(a, b, strict=True)])


def cycle_knn(X, Y, k=10):
    a, b = neighbours(X, k), neighbours(Y, k)
    return np.mean([any(i in a[j] for j in b[i]) for i in range(len(X))])


def jaccard_knn(X, Y, k=10):
    a, b = neighbours(X, k), neighbours(Y, k)
    return np.mean([len(set(p) & set(q)) / len(set(p) | set(q)) for p, q in zip(a, b, strict=True)])


def _subsequence(p, q):
    table = np.zeros((len(p) + 1, len(q) + 1), int)
    for s, one in enumerate(p):
        for t, other in enumerate(q):
            table[s + 1, t + 1] = table[s, t] + 1 if one == other else max(table[s, t + 1], table[s + 1, t])
    return table[-1, -1]


def _levenshtein(p, q):
    table = np.zeros((len(p) + 1, len(q) + 1), int)
    table[:, 0], table[0, :] = range(len(p) + 1), range(len(q) + 1)
    for s, one in enumerate(p):
        for t, other in enumerate(q):
            swap = table[s, t] + (one != other)
            table[s + 1, t + 1] = min(swap, table[s, t + 1] + 1, table[s + 1, t] + 1)
    return table[-1, -1]


def lcs_knn(X, Y, k=10):
    return np.mean([_subsequence(p, q) / k for p, q in zip(neighbours(X, k), neighbours(Y, k), strict=True)])


def edit_distance_knn(X, Y, k=10):
    return np.mean([1 - _levenshtein(p, q) / k for p, q in zip(neighbours(X, k), neighbours(Y, k), strict=True)])


def _hsic_unbiased(K, L):
    n = len(K)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    one = np.ones(n)
    trace, sums, rows = np.trace(K @ L), (one @ K @ one) * (one @ L @ one), one @ K @ L @ one
    return (trace + sums / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))


def cknna(X, Y, k=10):
    def mask(lists):
        held = np.zeros((len(lists), len(lists)))
        for i, row in enumerate(lists):
            held[i, row] = 1
        return held

    K, L = X @ X.T, Y @ Y.T
    A, B = mask(neighbours(X, k)), mask(neighbours(Y, k))
    both = A * B
    own_a, own_b = _hsic_unbiased(K * A, K * A), _hsic_unbiased(L * B, L * B)
    if own_a <= 0 or own_b <= 0:
        return np.nan
    return _hsic_unbiased(K * both, L * both) / np.sqrt(own_a * own_b)


def _gram(X, kernel, bandwidth):
    if kernel == "linear":
        return X @ X.T
    n = len(X)
    distances = np.array([[np.sqrt(np.sum((X[i] - X[j]) ** 2)) for j in range(n)] for i in range(n)])
    median = np.sort(distances.ravel())[(n * n - 1) // 2]
    return np.exp(-(distances**2) / (2 * (bandwidth * median) ** 2))


def cka(X, Y, kernel="linear", bandwidth=1.0):
    n = len(X)
    H = np.eye(n) - np.ones((n, n)) / n
    K, L = H @ _gram(X, kernel, bandwidth) @ H, H @ _gram(Y, kernel, bandwidth) @ H
    return np.trace(K @ L) / np.sqrt(np.trace(K @ K) * np.trace(L @ L))


def unbiased_cka(X, Y, kernel="linear", bandwidth=1.0):
    K, L = _gram(X, kernel, bandwidth), _gram(Y, kernel, bandwidth)
    return _hsic_unbiased(K, L) / np.sqrt(_hsic_unbiased(K, K) * _hsic_unbiased(L, L))
