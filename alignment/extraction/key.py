"""Key: the name of some activations, which says all that decides their numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from alignment.activations import Layers
from alignment.models import Pooling
from alignment.probes import Draw
from alignment.probes.probe_set import Side
from alignment.report.versions import installed_version

_METHOD = 1  # raised when `extract` comes to give other numbers from the same packages
_PACKAGES = (
    "accord",
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "timm",
    "pillow",
    "efficientnet-lite-pytorch",
)


@dataclass(frozen=True)
class Key:
    """What decides activations: equal keys, equal numbers.

    Attributes:
        model: `Identity.content`.
        items: the drawn items' sha256.
        view: which array view of them the model takes; None where the items have but one.
        layers: which layers are kept.
        pooling: how positions become one vector.
        dtype: what was asked to be computed in; `auto` follows the device and the checkpoint.
        device: the kind of device that was asked for: `auto`, `cpu` or `cuda`.
        code: the versions of what computes it.
    """

    model: str
    items: str
    view: str | None
    layers: Layers
    pooling: Pooling
    dtype: str
    device: str
    code: str

    @classmethod
    def of(
        cls, model: str, drawn: Draw, *, side: Side, layers: Layers, pooling: Pooling, dtype: str, device: str
    ) -> Key:
        """Returns the key of a model's answers to some items; the device's number does not matter."""
        return cls(
            model=model,
            items=drawn.sha256,
            view=side if side in drawn.views else None,
            layers=layers,
            pooling=pooling,
            dtype=dtype,
            device=device.partition(":")[0],
            code=_code(),
        )

    @property
    def name(self) -> str:
        """The sha256 of all of it, in hex."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def whole(self) -> Key:
        """Returns the key of the same with all layers."""
        return replace(self, layers="all")


def _code() -> str:
    found = {package: installed_version(package) for package in _PACKAGES}
    versions = {"method": str(_METHOD)} | {package: version for package, version in found.items() if version}
    return json.dumps(versions, sort_keys=True)
