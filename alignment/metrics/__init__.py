"""Metrics: how alike two layers are, as a grid over all pairs of layers at once."""

from alignment.metrics.choice import MetricChoice, parse_metrics
from alignment.metrics.facts import InfluencePairing, Metric, Pairing, Parameter
from alignment.metrics.shortage import fewest_items, find_shortage, without_score
from alignment.metrics.table import METRICS, metric_named

__all__ = [
    "METRICS",
    "InfluencePairing",
    "Metric",
    "MetricChoice",
    "Pairing",
    "Parameter",
    "fewest_items",
    "find_shortage",
    "metric_named",
    "parse_metrics",
    "without_score",
]
