"""Extraction: from a model and a probe set to activations, and where they are kept."""

from alignment.extraction.entry import Entry, Facts
from alignment.extraction.extract import check_fit, extract, from_file
from alignment.extraction.key import Key
from alignment.extraction.store import ActivationStore
from alignment.extraction.sweep import Swept, sweep

__all__ = ["ActivationStore", "Entry", "Facts", "Key", "Swept", "check_fit", "extract", "from_file", "sweep"]
