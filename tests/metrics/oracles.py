"""Each metric's definition, written out in float64 numpy, one item or pair at a time, with nothing shared.

These are what the fast versions are held to. They are slow on purpose: a loop that can be read beside the paper.
"""

from __future__ import annotations

import numpy as np
import scipy.stats


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


def _upper_triangle(X, dissimilarity):
    values = []
    for i in range(len(X)):
        for j in range(i + 1, len(X)):
            if dissimilarity == "sqeuclidean":
                values.append(np.sum((X[i] - X[j]) ** 2))
            else:
                values.append(1 - np.corrcoef(X[i], X[j])[0, 1])
    return np.array(values)


def rsa(X, Y, correlation="spearman", dissimilarity="sqeuclidean"):
    x, y = _upper_triangle(X, dissimilarity), _upper_triangle(Y, dissimilarity)
    return (scipy.stats.spearmanr if correlation == "spearman" else scipy.stats.pearsonr)(x, y).statistic


def _standardised(X):
    X = X[:, np.ptp(X, axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def svcca(X, Y):
    X, Y = _standardised(X), _standardised(Y)
    r = min(10, np.linalg.matrix_rank(X, rtol=1e-6), np.linalg.matrix_rank(Y, rtol=1e-6))
    U1, U2 = np.linalg.svd(X)[0][:, :r], np.linalg.svd(Y)[0][:, :r]
    return np.sum(np.linalg.svd(U1.T @ U2)[1]) / r


def pwcca(X, Y):
    """Canonical correlations from covariances, whitened by their Cholesky factors; no basis is formed."""
    columns = _standardised(X)
    X, Y = _independent(columns), _independent(_standardised(Y))
    if len(X) <= X.shape[1] + Y.shape[1]:
        return np.nan
    white_x = np.linalg.inv(np.linalg.cholesky(X.T @ X))
    white_y = np.linalg.inv(np.linalg.cholesky(Y.T @ Y))
    left, correlations, _ = np.linalg.svd(white_x @ X.T @ Y @ white_y.T)
    total = weights = 0.0
    for i, correlation in enumerate(correlations):
        variate = X @ white_x.T @ left[:, i]
        weight = sum(abs(variate @ column) for column in columns.T)
        total, weights = total + weight * correlation, weights + weight
    return total / weights


def _independent(X):
    """The columns that are no combination of those before them."""
    kept = []
    for j in range(X.shape[1]):
        if np.linalg.matrix_rank(X[:, [*kept, j]], rtol=1e-6) > len(kept):
            kept.append(j)
    return X[:, kept]


def procrustes(X, Y):
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    nuclear = np.sum(np.linalg.svd(X.T @ Y)[1])
    return nuclear / (np.sqrt(np.sum(X**2)) * np.sqrt(np.sum(Y**2)))


def _ridge(X, Y, penalty, new):
    """What a ridge regression with an intercept that is not penalised says of new rows."""
    x, y = X.mean(axis=0), Y.mean(axis=0)
    coefficients = np.linalg.solve((X - x).T @ (X - x) + penalty * np.eye(X.shape[1]), (X - x).T @ (Y - y))
    return y + (new - x) @ coefficients


def linear_predictivity(X, Y, seed=0):
    n = len(X)
    predicted = np.empty_like(Y)
    for test in np.array_split(np.random.default_rng(seed).permutation(n), 5):
        train = np.array([i for i in range(n) if i not in test])
        unit = np.mean([np.sum((row - X[train].mean(axis=0)) ** 2) for row in X[train]])
        errors = {}
        for power in range(-3, 7):
            penalty = 10.0**power * unit
            errors[penalty] = 0.0
            for left in train:
                rest = train[train != left]
                errors[penalty] += np.sum((Y[left] - _ridge(X[rest], Y[rest], penalty, X[left])) ** 2)
        predicted[test] = _ridge(X[train], Y[train], min(errors, key=errors.get), X[test])
    return 1 - np.sum((Y - predicted) ** 2) / np.sum((Y - Y.mean(axis=0)) ** 2)
