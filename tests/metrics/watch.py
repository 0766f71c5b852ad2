"""What the operations of a computation do, counted while it runs: for what the host waits, and how much is held."""

from __future__ import annotations

import weakref
from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# whose value the host reads, or whose shape it cannot know before the device has run
_WAITING = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten._unique,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
    aten.unique_dim_consecutive,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.item,
    aten._linalg_check_errors,  # whether a decomposition came out is asked at once
    aten._linalg_eigh,
    aten._linalg_svd,
}


# no work: memory is found, or a tensor looked at otherwise
_FREE = {
    aten.empty,
    aten.empty_strided,
    aten.empty_like,
    aten.new_empty,
    aten.new_empty_strided,
    aten._unsafe_view,
    aten.lift_fresh,
    aten.detach,
}

# what leaves torch, or comes into it, without an operation on a CPU
_LEAVING = {"tolist", "numpy", "cpu", "item", "__array__", "__bool__", "__float__", "__int__", "__index__"}
_COMING = {torch.tensor, torch.as_tensor, torch.Tensor.new_tensor}


class Waits(TorchFunctionMode):
    """Counts what the host would wait on a device for, whatever device the tensors are on.

    Attributes:
        seen: how often each was met.
    """

    def __init__(self):
        super().__init__()
        self.seen = Counter()
        self._operations = _Operations(self.seen)

    @property
    def count(self):
        return sum(self.seen.values())

    def __enter__(self):
        self._operations.__enter__()
        return super().__enter__()

    def __exit__(self, *raised):
        super().__exit__(*raised)
        self._operations.__exit__(*raised)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        before = self.count
        out = function(*args, **(kwargs or {}))
        if self.count == before and (name in _LEAVING or function in _COMING):
            self.seen[name] += 1
        return out


class _Operations(TorchDispatchMode):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        packet = function.overloadpacket
        out = function(*args, **(kwargs or {}))
        if waits_for(packet, args, out):
            self.seen[str(packet)] += 1
        return out


class Counted(TorchDispatchMode):
    """Counts what a device would be given to do: every operation but one that only looks at a tensor otherwise.

    Attributes:
        count: how many were met.
    """

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not (function.is_view or function.overloadpacket in _FREE)
        return function(*args, **(kwargs or {}))


def waits_for(packet, args, out):
    """Whether the host waits for a device that does this operation."""
    counts = packet is aten.repeat_interleave and len(args) == 1  # of counts that are on the device
    return packet in _WAITING or counts or _fetches_index(packet, args) or _between_devices(packet, args, out)


def _fetches_index(packet, args):
    """Whether the host must know how many places a mask holds at, or sends places that it holds itself."""
    if packet not in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        return False
    places = [index for index in args[1] if index is not None]
    return any(index.dtype in (torch.bool, torch.uint8) or index.device != args[0].device for index in places)


def _between_devices(packet, args, out):
    if packet is aten._to_copy:
        return out.device != args[0].device
    return packet is aten.copy_ and args[0].device != args[1].device


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive.

    Attributes:
        most: how many bytes that were made while it watched were alive at once.
    """

    def __init__(self):
        super().__init__()
        self.most = self._now = 0
        self._known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor.untyped_storage())
        return out

    def _meet(self, storage):
        key = storage._cdata
        if key in self._known or not storage.nbytes():
            return
        self._known.add(key)
        self._now += storage.nbytes()
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._leave, key, storage.nbytes())

    def _leave(self, key, size):
        self._known.discard(key)
        self._now -= size
