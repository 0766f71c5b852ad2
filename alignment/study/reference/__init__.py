"""Reference kernels: what a model's items should be alike by, from elsewhere than a model."""

from alignment.study.reference.load import ReferenceKernel, read_reference
from alignment.study.reference.predict import predict
from alignment.study.reference.source import KernelSource

__all__ = ["KernelSource", "ReferenceKernel", "predict", "read_reference"]
