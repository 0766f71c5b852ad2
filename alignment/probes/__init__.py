"""Probe sets: the items that two models are compared on, from a name, a file or a folder."""

from alignment.probes.builtin import Builtin, builtin_probes
from alignment.probes.dataset import pin_dataset
from alignment.probes.dataset_ref import DatasetRef
from alignment.probes.draw import Draw
from alignment.probes.image_item import ImageItem
from alignment.probes.loading import load_probe
from alignment.probes.probe_set import ProbeSet

__all__ = ["Builtin", "DatasetRef", "Draw", "ImageItem", "ProbeSet", "builtin_probes", "load_probe", "pin_dataset"]
