"""Fingerprint: a name for what a model computes, the same on every machine.

It is taken from the weights as they are stored, before any cast, so neither the device nor the dtype of a run changes
it, and from every file that decides how an item becomes the model's input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


def weights_digest(weights: Iterable[tuple[str, Tensor]]) -> str:
    """Returns the sha256 of named tensors, in hex: of names, dtypes, shapes and bytes, whatever their order.

    >>> a, b = ("a", torch.zeros(2)), ("b", torch.ones(1, dtype=torch.bfloat16))
    >>> weights_digest([a, b]) == weights_digest([b, a]) != weights_digest([a])
    True
    """
    rows = []
    for name, tensor in weights:
        # A dtype such as bfloat16 has no numpy twin, so the bytes are taken as they lie.
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        rows.append((name, str(tensor.dtype), list(tensor.shape), hashlib.sha256(raw).hexdigest()))
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def fingerprint(digest: str, preprocessing: Mapping[str, Any]) -> str:
    """Returns the sha256, in hex, of a weights' digest and the facts about preprocessing (plain JSON)."""
    facts = json.dumps({"weights": digest, "preprocessing": preprocessing}, sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()
