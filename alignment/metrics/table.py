"""The metric table: every metric there is, with its facts. The catalogue, the help and the README print from it."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from alignment.errors import UnknownNameError
from alignment.metrics.cknna import Cknna
from alignment.metrics.dissimilarity import Rsa
from alignment.metrics.facts import Metric, Parameter
from alignment.metrics.kernel import Cka
from alignment.metrics.lists import CycleKnn, JaccardKnn
from alignment.metrics.neighbours import MutualKnn
from alignment.metrics.ordered import EditDistanceKnn, LcsKnn
from alignment.metrics.regression import LinearPredictivity
from alignment.metrics.subspace import Procrustes, Pwcca, Svcca

_K = Parameter("k", 10, "how many neighbours an item has", minimum=1)
_KERNEL = Parameter("kernel", "linear", "linear, or rbf: exp(-d² / 2σ²)", choices=("linear", "rbf"))
_BANDWIDTH = Parameter(
    "bandwidth", 1.0, "σ of the rbf kernel, in lower medians of all n² distances", minimum=0, exclusive=True
)
_CORRELATION = Parameter("correlation", "spearman", "of ranks, or of values", choices=("spearman", "pearson"))
_DISSIMILARITY = Parameter(
    "dissimilarity",
    "sqeuclidean",
    "squared distance, or 1 - the correlation of two items across features, which is not rotation-invariant",
    choices=("sqeuclidean", "correlation"),
)
_SEED = Parameter("seed", 0, "what the items are shuffled by before they are cut into folds", minimum=0)

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
                tolerance=1e-12,
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
                undefined="a layer's dependence on itself is zero or less",
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
                undefined="a layer's dependence on itself is zero or less",
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
                undefined="a layer's dependence on itself is zero or less",
            ),
            Metric(
                name="rsa",
                title="representational similarity analysis",
                family="kernel",
                summary="correlation of the two dissimilarity matrices over all pairs of items, ties in ranks averaged",
                reference="Kriegeskorte et al. 2008, Frontiers in Systems Neuroscience 2:4",
                range=(-1.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling", "translation"}),
                tolerance=1e-6,
                minimum_items=lambda values: 3,
                pair=Rsa,
                # a table of ranks pays only where pairs are many: few that do not fit are refused
                tiles=lambda values: values["correlation"] == "pearson",
                parameters=(_CORRELATION, _DISSIMILARITY),
                undefined="a layer's dissimilarities do not vary, or an item has no correlation",
            ),
            Metric(
                name="svcca",
                title="singular vector canonical correlation",
                family="subspace",
                summary="mean canonical correlation of the top 10 left singular vectors, columns standardised",
                reference="Raghu et al. 2017, arXiv 1706.05806; Huh et al. 2024, arXiv 2405.07987",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"scaling", "translation", "column_scaling"}),
                tolerance=1e-6,
                minimum_items=lambda values: 12,
                pair=Svcca,
            ),
            Metric(
                name="pwcca",
                title="projection weighted canonical correlation",
                family="subspace",
                summary="canonical correlations weighted by the first side; none unless items outnumber both ranks",
                reference="Morcos et al. 2018, arXiv 1806.05759",
                range=(0.0, 1.0),
                symmetric=False,
                invariances=frozenset({"scaling", "translation", "column_scaling"}),
                tolerance=1e-6,
                minimum_items=lambda values: 3,
                pair=Pwcca,
                undefined="there must be more items than the ranks of both layers together",
            ),
            Metric(
                name="procrustes",
                title="Procrustes similarity",
                family="subspace",
                summary="‖XᵀY‖_* / (‖X‖_F ‖Y‖_F), centred: the cosine of the angular shape distance",
                reference="Williams et al. 2021, arXiv 2110.14739",
                range=(0.0, 1.0),
                symmetric=True,
                invariances=frozenset({"orthogonal", "scaling", "translation"}),
                tolerance=1e-6,
                minimum_items=lambda values: 3,
                pair=Procrustes,
            ),
            Metric(
                name="linear_predictivity",
                title="linear predictivity",
                family="regression",
                summary="R² of ridge regression from A to B on held-out items, 5 folds, penalty by leave-one-out",
                reference="Yamins et al. 2014, PNAS 111(23); Schrimpf et al. 2018, bioRxiv 407007",
                range=(0.0, 1.0),
                symmetric=False,
                invariances=frozenset({"orthogonal", "scaling", "translation"}),
                tolerance=1e-6,
                minimum_items=lambda values: 5,
                pair=LinearPredictivity,
                parameters=(_SEED,),
                bounded=False,
                self_score=None,
                ordered=True,
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
