"""Pretend: a GPU that is none. Tensors say that they are on `cuda:0`; the CPU works on them.

While it is entered torch finds one CUDA device. What is made there or moved there is refused what a GPU refuses: an
operand in the CPU's memory, chance from the CPU's generator, a product of whole numbers, to be read without being
fetched. What the host waits for, CUDA's own warning tells (`torch.cuda.set_sync_debug_mode`), which is told here too.

It cannot show what CUDA's kernels give (their rounding, the order of their sums, a dtype that one lacks and is not
named here), the time that they take, or the memory; nor an operand on the CPU that is made in the midst of a backward
pass, where torch itself makes its own so, here.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.metrics.watch import waits_for

HERE, THERE = torch.device("cpu"), torch.device("cuda", 0)
aten = torch.ops.aten
_FETCHING = {aten._to_copy, aten.copy_, aten.copy}  # between devices: what they are for
_WHOLE = {aten.mm, aten.bmm, aten.addmm, aten.baddbmm, aten.addbmm, aten.mv, aten.addmv, aten.dot, aten.vdot}
_INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
_LIKE = {aten.new_empty, aten.new_empty_strided, aten.new_zeros, aten.new_ones, aten.new_full}
_IMPLICIT = torch._C.DispatchKey.CompositeImplicitAutograd


class There(torch.Tensor):
    """A tensor on the GPU that is none. To torch's own code, autograd's first, it is on the CPU.

    Attributes:
        held: the same numbers where they are.
    """

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=HERE
        )
        made.held = held
        return made

    device = property(lambda self: THERE)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError(f"{function}: there is no GPU any more; keep Pretend entered while its tensors are used")

    def __repr__(self, *, tensor_contents=None):
        return f"There({self.held!r})"


class Pretend(TorchDispatchMode):
    """The GPU, while it is entered.

    Attributes:
        within: how many functions of torch that were given a tensor of ours are under way.
    """

    def __init__(self):
        super().__init__()
        self.within = 0
        self._debug = "default"
        self._entered = []

    def __enter__(self):
        with ExitStack() as stack:
            for name, stand_in in self._stand_ins().items():
                stack.enter_context(mock.patch.object(torch.cuda, name, stand_in))
            # a model that is sent gets new parameters: what it had cannot become tensors of another kind
            overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
            stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwritten)
            torch.__future__.set_overwrite_module_params_on_conversion(True)
            stack.enter_context(_Moves(self))
            self._entered.append(stack.pop_all())
        return super().__enter__()

    def __exit__(self, *raised):
        super().__exit__(*raised)
        self._entered.pop().__exit__(*raised)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, packet = dict(kwargs or {}), function.overloadpacket
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        ours = [tensor for tensor in tensors if isinstance(tensor, There)]
        asked = kwargs.get("device")
        there = bool(ours) if asked is None or packet in _LIKE else torch.device(asked).type == "cuda"
        # what torch's own code makes beside a tensor of ours it makes where it believes that one to be
        there = there or bool(self.within and asked is not None)
        if not ours and not there:
            return function(*args, **kwargs)
        if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), _IMPLICIT):  # inference mode leaves it whole
            with torch._C.DisableTorchFunction(), self:
                return function.decompose(*args, **kwargs)
        _check(function, args, kwargs, tensors, there=there)
        if asked is not None:
            kwargs["device"] = HERE
        own_args, own_kwargs = tree_map(_own, (args, kwargs))
        out = function(*own_args, **own_kwargs)
        if torch.Tag.inplace_view in function.tags:  # the shape alone is changed, of both
            with no_dispatch():
                return function(*args, **kwargs)
        known = {id(tensor.held): tensor for tensor in ours}
        made = tree_map(lambda one: _wrapped(one, known) if there and isinstance(one, torch.Tensor) else one, out)
        if self._debug == "warn" and waits_for(packet, args, made):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
        return made

    def _stand_ins(self):
        """What torch.cuda answers."""
        return {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda device=None: "a GPU that is none",
            "_lazy_init": lambda: None,
            "synchronize": lambda device=None: None,
            "set_sync_debug_mode": self._set_debug,
            "get_rng_state": lambda device="cuda": torch.get_rng_state(),
            "set_rng_state": lambda state, device="cuda": torch.set_rng_state(state),
            "reset_peak_memory_stats": lambda device=None: None,
            "memory_allocated": lambda device=None: 0,
            "max_memory_allocated": lambda device=None: 1,
        }

    def _set_debug(self, mode):
        warnings.warn("Synchronization debug mode does not yet detect all synchronizing operations", stacklevel=2)
        self._debug = mode


class _Moves(TorchFunctionMode):
    """Moves between the devices, of which torch's own code sees one."""

    def __init__(self, pretend):
        super().__init__()
        self.pretend = pretend

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor) and _names_gpu(kwargs.get("device")):
            return function(*args, **{**kwargs, "device": HERE}).to(THERE)
        if function is torch.Tensor.new_tensor and isinstance(args[0], There):
            return torch.as_tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(THERE)
        if function in (torch.Tensor.to, torch.Tensor.type_as):
            return _to(torch.Tensor.to, *args, **kwargs)
        if function is torch.Tensor.cuda:
            return _to(torch.Tensor.to, args[0], THERE)
        if function is torch.Tensor.cpu:
            return _to(torch.Tensor.to, args[0], HERE)
        if function == torch.Tensor.device.__get__:
            return _innermost(args[0]).device
        if function is torch.Tensor.tolist:
            return _to(torch.Tensor.to, args[0], HERE).tolist()
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        ours = any(isinstance(_innermost(tensor), There) for tensor in tensors)
        if ours and function is torch.quantile:  # makes a tensor of its level where no one sees it
            return There(function(args[0].held, *args[1:], **kwargs))
        self.pretend.within += ours
        try:
            return function(*args, **kwargs)
        finally:
            self.pretend.within -= ours


def _to(function, tensor, *args, **kwargs):
    """Returns what Tensor.to does, between the devices."""
    asked = next((one for one in (*args, *kwargs.values()) if isinstance(one, (str, torch.device, torch.Tensor))), None)
    if asked is None:
        return function(tensor, *args, **kwargs)
    device = asked.device if isinstance(asked, torch.Tensor) else torch.device(asked)
    dtypes = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.dtype)]
    dtype = asked.dtype if isinstance(asked, torch.Tensor) else next(iter(dtypes), tensor.dtype)
    if device.type == tensor.device.type:
        return function(tensor, dtype, copy=bool(kwargs.get("copy")))
    return aten._to_copy(tensor, dtype=dtype, device=THERE if device.type == "cuda" else HERE)


def _innermost(tensor):
    """Returns what torch.func has wrapped."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def _names_gpu(device):
    return device is not None and torch.device(device).type == "cuda"


def _own(value):
    return value.held if isinstance(value, There) else value


def _wrapped(held, known):
    if id(held) not in known:
        with torch.inference_mode(False):  # a view of a weight is no tensor of inference alone
            return There(held)
    same = known[id(held)]
    if same.shape != held.shape or same.stride() != held.stride():
        raise RuntimeError(f"a tensor of the shape {list(same.shape)} was made {list(held.shape)} in its place")
    return same


def _check(function, args, kwargs, tensors, *, there):
    """Refuses what a GPU refuses."""
    packet = function.overloadpacket
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, torch.Generator) and there and leaf.device.type != "cuda":
            raise RuntimeError(f"{packet}: expected a 'cuda' device type for generator but found 'cpu'")
    if packet in _WHOLE and not tensors[0].dtype.is_floating_point and not tensors[0].dtype.is_complex:
        raise RuntimeError(f'"{packet}" not implemented for {tensors[0].dtype} on CUDA')
    if packet in _FETCHING or not any(isinstance(tensor, There) for tensor in tensors):
        return
    bound = [*tree_leaves(args[0]), *tree_leaves(args[2:])] if packet in _INDEXED else tensors
    for tensor in bound:  # a number may come from the host; where in a tensor may, too
        if isinstance(tensor, torch.Tensor) and not isinstance(tensor, There) and tensor.dim():
            raise RuntimeError(
                f"{packet}: expected all tensors to be on the same device, and found at least two, cuda:0 and cpu"
            )
