"""The metric table: every metric there is, with its facts. The catalogue, the help and the README print from it."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from alignment.errors import UnknownNameError
from alignment.metrics.facts import Metric, Parameter
from alignment.metrics.kernel import Cka
from alignment.metrics.neighbours import Cknna, CycleKnn, EditDistanceKnn, JaccardKnn, LcsKnn, MutualKnn

_K = Parameter("k", 10, "how many neighbours an item has", minimum=1)
_KERNEL = Parameter("kernel", "linear", "linear, or rbf: exp(-d² / 2σ²)", choices=("linear", "rbf"))
_BANDWIDTH = Parameter(
    "bandwidth", 1.0, "σ of the rbf kernel, in lower medians of all n² distances", minimum=0, exclusive=True
)

METRICS = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                name="mutual_knn",
                title="mutual k-nearest neighbours",
                family="neighbours",
                summary="mean over items of |kNN_A(i) ∩ kNN_B(i)| / k, by inner product; chance is k / (n - 1)",
                reference="Huh et al. 2024, arXiv 2405.07987",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling"}),
                tolerance=0.0,
                minimum_items=lambda values: int(values["k"]) + 1,
                pair=MutualKnn,
                parameters=(_K,),
                interval=True,
            ),
            Metric(
                name="cycle_knn",
                title="cycle k-nearest neighbours",
                family="neighbours",
                summary="mean over items of [some j in kNN_B(i) has i in kNN_A(j)]",
                reference="Huh et al. 2024, arXiv 2405.07987",
                range=(0.0, 1.0),
                symmetric=False,
                invariances=frozenset({"orthogonal", "scaling"}),
                tolerance=0.0,
                minimum_items=lambda values: int(values["k"]) + 1,
                pair=CycleKnn,
                parameters=(_K,),
                self_score=None,
            ),
            Metric(
                name="lcs_knn",
                title="longest common subsequence of neighbours",
                family="neighbours",
                summary="mean longest common subsequence of the two ordered neighbour lists, over k",
                reference="Huh et al. 2024, arXiv 2405.07987",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling"}),
                tolerance=0.0,
                minimum_items=lambda values: int(values["k"]) + 1,
                pair=LcsKnn,
                parameters=(_K,),
            ),
            Metric(
                name="edit_distance_knn",
                title="edit distance of neighbours",
                family="neighbours",
                summary="1 - mean Levenshtein distance of the two ordered neighbour lists, over k",
                reference="Huh et al. 2024, arXiv 2405.07987",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling"}),
                tolerance=0.0,
                minimum_items=lambda values: int(values["k"]) + 1,
                pair=EditDistanceKnn,
                parameters=(_K,),
            ),
            Metric(
                name="jaccard_knn",
                title="Jaccard index of neighbours",
                family="neighbours",
                summary="mean over items of |kNN_A(i) ∩ kNN_B(i)| / |kNN_A(i) ∪ kNN_B(i)|",
                reference="Wang et al. 2022, IEEE TKDE 35(1)",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling"}),
                tolerance=0.0,
                minimum_items=lambda values: int(values["k"]) + 1,
                pair=JaccardKnn,
                parameters=(_K,),
            ),
            Metric(
                name="cknna",
                title="centred kernel nearest-neighbour alignment",
                family="neighbours",
                summary="unbiased CKA of the Grams masked to the neighbours that both sides agree on",
                reference="Huh et al. 2024, arXiv 2405.07987",
                range=(-1.0, 1.0),
                symmetric=False,
                invariances=frozenset({"orthogonal", "scaling"}),
                tolerance=1e-6,
                minimum_items=lambda values: max(4, int(values["k"]) + 1),
                pair=Cknna,
                parameters=(_K,),
                bounded=False,
            ),
            Metric(
                name="cka",
                title="centred kernel alignment",
                family="kernel",
                summary="HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), biased: inflated if items are few for the width",
                reference="Kornblith et al. 2019, arXiv 1905.00414",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling", "translation"}),
                tolerance=1e-6,
                minimum_items=lambda values: 3,
                pair=partial(Cka, unbiased=False),
                parameters=(_KERNEL, _BANDWIDTH),
                interval=True,
            ),
            Metric(
                name="unbiased_cka",
                title="unbiased centred kernel alignment",
                family="kernel",
                summary="CKA with the U-statistic HSIC: expected 0 without dependence, can be negative",
                reference="Song et al. 2012, JMLR 13; Kornblith et al. 2019, arXiv 1905.00414",
                range=(-1.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling", "translation"}),
                tolerance=1e-6,
                minimum_items=lambda values: 4,
                pair=partial(Cka, unbiased=True),
                parameters=(_KERNEL, _BANDWIDTH),
                interval=True,
            ),
        )
    }
)


def metric_named(name: str) -> Metric:
    """Returns the metric of that name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]
