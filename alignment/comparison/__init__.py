"""A comparison: from two models, or two sets of activations, to a report."""

from alignment.comparison.compare import compare, extract_model
from alignment.comparison.request import Comparison, Extraction, Scoring
from alignment.comparison.score import make_views, measure, score
from alignment.comparison.source import Items, Source, fewer_samples

__all__ = [
    "Comparison",
    "Extraction",
    "Items",
    "Scoring",
    "Source",
    "compare",
    "extract_model",
    "fewer_samples",
    "make_views",
    "measure",
    "score",
]
