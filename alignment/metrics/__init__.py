"""Metrics: how alike two layers are, as a grid over all pairs of layers at once."""

from alignment.metrics.choice import MetricChoice, parse_metrics
from alignment.metrics.facts import InfluencePairing, Metric, Pairing, Parameter
from alignment.metrics.table import METRICS, metric_named

__all__ = [
    "METRICS",
    "InfluencePairing",
    "Metric",
    "MetricChoice",
    "Pairing",
    "Parameter",
    "metric_named",
    "parse_metrics",
]
