"""Placement: where a model runs, and in what it computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from alignment.errors import ModelError

HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Placement:
    """A device and the dtype that was asked for; None asks for the dtype that suits both device and checkpoint."""

    device: torch.device
    dtype: torch.dtype | None = None

    @classmethod
    def of(cls, device: torch.device | str, dtype: torch.dtype | None) -> Placement:
        """Returns the placement, once it is known to exist here.

        Raises:
            ModelError: if the device is a GPU that this machine lacks, or the dtype is not a floating one.
        """
        try:
            place = torch.device(device)
        except RuntimeError as error:
            raise ModelError(f"{device!r} is not a device; write 'cpu' or 'cuda:0'") from error
        if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
            raise ModelError(f"there is no device {str(place)!r} here ({torch.cuda.device_count()} GPUs); use 'cpu'")
        if dtype is not None and not dtype.is_floating_point:
            raise ModelError(f"a model cannot compute in {dtype}; use float32, bfloat16 or float16")
        return cls(place, dtype)

    def dtype_for(self, stored: torch.dtype) -> torch.dtype:
        """Returns what a checkpoint of dtype `stored` computes in: as asked, else its own half on a GPU, else float32.

        >>> Placement(torch.device("cpu")).dtype_for(torch.bfloat16)
        torch.float32
        >>> Placement(torch.device("cuda")).dtype_for(torch.bfloat16)
        torch.bfloat16
        """
        if self.dtype is not None:
            return self.dtype
        return stored if self.device.type == "cuda" and stored in HALVES else torch.float32
