"""Checkpoint: a tree of tensors and plain values as safetensors, the same to the bit when it is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from alignment.errors import TrainingError

_MARK = "$tensor"
_KEY = "tree"


def pack(tree: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a tree of dicts, lists, tensors, numbers, texts and None.

    >>> import torch
    >>> unpack(pack({"a": [torch.ones(1), 0.1], "b": None}), "a test")
    {'a': [tensor([1.]), 0.1], 'b': None}
    """
    tensors: dict[str, Tensor] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = f"{len(tensors)}"
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {_MARK: name}
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [plain(item) for item in value]
        return value

    text = json.dumps(plain(tree))  # a float's shortest form is read back as the same float
    return save(tensors, metadata={_KEY: text})


def unpack(raw: bytes, source: str) -> dict[str, Any]:
    """Returns the tree.

    Raises:
        TrainingError: if the bytes are no checkpoint; `source` names them.
    """
    try:
        tensors = load(raw)
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        tree = json.loads(header["__metadata__"][_KEY])
    except (SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{source} is not a whole checkpoint ({error}); remove it to begin anew") from error

    def full(value: Any) -> Any:
        if isinstance(value, dict):
            return tensors[value[_MARK]] if set(value) == {_MARK} else {k: full(v) for k, v in value.items()}
        return [full(item) for item in value] if isinstance(value, list) else value

    found: dict[str, Any] = full(tree)
    return found
