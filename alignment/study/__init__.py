"""A study: N models against each other, the hypothesis's own predictions tested."""

from alignment.study.capability import read_capability
from alignment.study.reference import KernelSource
from alignment.study.request import Study
from alignment.study.study import conclude, study

__all__ = ["KernelSource", "Study", "conclude", "read_capability", "study"]
