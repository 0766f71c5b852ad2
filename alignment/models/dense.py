"""DenseNetwork: a network on vectors, of linear layers and one activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from alignment.errors import ModelError

FORMAT = "dense"  # what config.json says under "accord"
VERSION = 1
Activation = Literal["linear", "relu", "tanh", "gelu"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda z: z,
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}


@dataclass(frozen=True)
class DenseConfig:
    """What a dense network is, beside its weights.

    Attributes:
        widths: of the input, each hidden layer, and the output; at least two.
        activation: between the linear layers.
        bias: whether the linear layers have biases.
        maps: whether a fixed square matrix stands before the first layer and another behind the last: the embedded
            linear networks of Ziyin and Chuang 2025, "Proof of a Perfect Platonic Representation Hypothesis".
    """

    widths: tuple[int, ...]
    activation: Activation = "relu"
    bias: bool = True
    maps: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or not all(type(w) is int and w > 0 for w in self.widths):
            raise ModelError(f"a dense network has at least two widths, all positive, not {list(self.widths)}")
        if self.activation not in ACTIVATIONS:
            raise ModelError(f"{self.activation!r} is no activation; choose from: {', '.join(ACTIVATIONS)}")

    @property
    def depth(self) -> int:
        """How many linear layers it has."""
        return len(self.widths) - 1

    @property
    def inputs(self) -> int:
        """How many numbers an item is."""
        return self.widths[0]

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return self.widths[-1]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The hidden layers' names, from input to output."""
        return tuple(f"hidden.{i}" for i in range(1, self.depth))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each weight by name, without a network being made."""
        found: dict[str, tuple[int, ...]] = {}
        for number, (n, m) in enumerate(pairwise(self.widths)):
            found |= {f"layers.{number}.weight": (m, n), **({f"layers.{number}.bias": (m,)} if self.bias else {})}
        if self.maps:
            found |= {"map_in": (self.inputs, self.inputs), "map_out": (self.outputs, self.outputs)}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns what config.json holds."""
        return {"accord": FORMAT, "version": VERSION, **asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], reference: str) -> DenseConfig:
        """Returns the config that a config.json holds.

        Raises:
            ModelError: if it is of another version or lacks something.
        """
        if config.get("version") != VERSION:
            raise ModelError(f"{reference} is of version {config.get('version')!r}; this Accord reads {VERSION}")
        try:
            widths = tuple(config["widths"])
            return cls(widths, config["activation"], bool(config["bias"]), bool(config["maps"]))
        except (KeyError, TypeError) as error:
            raise ModelError(f"{reference}: config.json does not describe a dense network ({error})") from error


class DenseNetwork(nn.Module):
    """Linear layers with one activation between them; weights are zero until they are set.

    >>> network = DenseNetwork(DenseConfig((4, 6, 3)))
    >>> [name for name, _ in network.named_parameters()]
    ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
    >>> network(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    map_in: Tensor
    map_out: Tensor

    def __init__(self, config: DenseConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        pairs = zip(config.widths[:-1], config.widths[1:], strict=True)
        # skip_init: drawing weights here would touch the caller's random state.
        self.layers = nn.ModuleList(
            nn.utils.skip_init(nn.Linear, n, m, bias=config.bias, dtype=dtype)  # type: ignore[no-untyped-call]
            for n, m in pairs
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
        if config.maps:
            self.register_buffer("map_in", torch.eye(config.widths[0], dtype=dtype))
            self.register_buffer("map_out", torch.eye(config.widths[-1], dtype=dtype))

    def hidden(self, x: Float[Tensor, "b n"]) -> list[Float[Tensor, "b _"]]:
        """Returns each hidden layer behind its activation, from input to output."""
        return self._run(x)[0]

    def forward(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b m"]:
        """Returns the outputs."""
        return self._run(x)[1]

    def _run(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        function = _FUNCTIONS[self.config.activation]
        found: list[Tensor] = []
        state = x @ self.map_in.T if self.config.maps else x
        for layer in self.layers[:-1]:
            state = function(layer(state))
            found.append(state)
        output: Tensor = self.layers[-1](state)
        return found, output @ self.map_out.T if self.config.maps else output
