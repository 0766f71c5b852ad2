"""Extraction: from a model and a probe set to activations."""

from alignment.extraction.extract import check_fit, extract, from_file

__all__ = ["check_fit", "extract", "from_file"]
