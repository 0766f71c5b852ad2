"""Own: the networks that Accord trains itself, of either kind, to and from a folder."""

from __future__ import annotations

from pathlib import Path

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.dense import DenseNetwork
from alignment.models.tower import TowerNetwork
from alignment.models.towers import is_tower, read_tower, tower_files
from alignment.models.vectors import dense_files, is_dense, read_dense

OwnNetwork = DenseNetwork | TowerNetwork


def is_own(checkpoint: Checkpoint) -> bool:
    """Returns whether a checkpoint is one that Accord saved of a network of its own."""
    return is_dense(checkpoint) or is_tower(checkpoint)


def open_own(folder: Path, reference: str) -> OwnNetwork:
    """Returns the network in a folder.

    Raises:
        ModelError: if the folder holds another model, or none.
    """
    checkpoint = Checkpoint.open(folder, reference)
    if is_tower(checkpoint):
        return read_tower(checkpoint)
    if is_dense(checkpoint):
        return read_dense(checkpoint)
    raise ModelError(f"{reference} is not a network that Accord trained; give a folder of `accord train`")


def own_files(network: OwnNetwork) -> dict[str, bytes]:
    """Returns the names and contents of the files that `path:` reads the network from."""
    return dense_files(network) if isinstance(network, DenseNetwork) else tower_files(network)
