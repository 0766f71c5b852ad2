"""A comparison: from two models, or two sets of activations, to a report."""

from alignment.comparison.compare import compare, extract_model
from alignment.comparison.request import Comparison, Extraction, Scoring
from alignment.comparison.score import score

__all__ = ["Comparison", "Extraction", "Scoring", "compare", "extract_model", "score"]
