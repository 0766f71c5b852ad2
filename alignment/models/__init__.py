"""Models: from a reference to an encoder, which turns items into one vector a layer."""

from alignment.models.builtin import BuiltinModel, builtin_models
from alignment.models.dense import DenseConfig, DenseNetwork
from alignment.models.encoder import POOLINGS, Encoder, Layer, Modality, Pooling
from alignment.models.fake import FakeEncoder
from alignment.models.hub import FakeHub, Hub, HuggingFaceHub
from alignment.models.identity import Identity, identify
from alignment.models.load import load_encoder, resolve
from alignment.models.outline import Outline, outline
from alignment.models.own import OwnNetwork, open_own, own_files
from alignment.models.tower import TowerConfig, TowerNetwork, tiles
from alignment.models.towers import letters, pixels
from alignment.models.vectors import dense_files, open_dense

__all__ = [
    "POOLINGS",
    "BuiltinModel",
    "DenseConfig",
    "DenseNetwork",
    "Encoder",
    "FakeEncoder",
    "FakeHub",
    "Hub",
    "HuggingFaceHub",
    "Identity",
    "Layer",
    "Modality",
    "Outline",
    "OwnNetwork",
    "Pooling",
    "TowerConfig",
    "TowerNetwork",
    "builtin_models",
    "dense_files",
    "identify",
    "letters",
    "load_encoder",
    "open_dense",
    "open_own",
    "outline",
    "own_files",
    "pixels",
    "resolve",
    "tiles",
]
