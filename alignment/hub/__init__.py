"""The hub: what it is asked, what it answers, and which files of a data set are which split."""

from alignment.hub.asking import ask
from alignment.hub.datasets import Datasets, HuggingFaceDatasets
from alignment.hub.fake import FakeDatasets
from alignment.hub.split import Split, find_split

__all__ = ["Datasets", "FakeDatasets", "HuggingFaceDatasets", "Split", "ask", "find_split"]
