"""Factorial data: every input with every noise vector, so that the two are exactly independent in the training set.

With rows drawn at random, inputs and noise are correlated in any finite sample, and 1 - alignment cannot fall below
2e-3 to 4e-3 with 72 rows, or 2e-4 to 7e-4 with 1,024.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.entropic.chance import generator, invertible, log_uniform, normal, orthogonal
from alignment.errors import TrainingError


@dataclass(frozen=True)
class FactorialSetting:
    """How the data of a linear pair are drawn.

    Attributes:
        inputs: width of the latent input and of each view.
        outputs: width of the targets.
        items: distinct inputs.
        noises: distinct noise vectors; more than `outputs`, so that their covariance is invertible.
        sigma: the noise's scale.
        spread: the largest ratio of two of the noise's deviations.
    """

    inputs: int = 4
    outputs: int = 3
    items: int = 12
    noises: int = 6
    sigma: float = 0.5
    spread: float = 4.0

    def __post_init__(self) -> None:
        if self.noises <= self.outputs or self.items < self.inputs:
            raise TrainingError(
                f"{self.items} inputs of width {self.inputs} and {self.noises} noise vectors of width {self.outputs} "
                "have singular covariances; give more of both"
            )


@dataclass(frozen=True, eq=False)
class LinearData:
    """Two views of the same items, y = V x + ε for both.

    Attributes:
        latent: `[items, inputs]`, x.
        noise: `[noises, outputs]`, ε, with mean 0.
        target: V, `[outputs, inputs]`.
        view_a: Z of A: it sees Z x.
        view_b: Z of B.
    """

    latent: Float[Tensor, "k n"]
    noise: Float[Tensor, "q m"]
    target: Float[Tensor, "m n"]
    view_a: Float[Tensor, "n n"]
    view_b: Float[Tensor, "n n"]

    @classmethod
    def draw(cls, seed: int, setting: FactorialSetting | None = None) -> LinearData:
        """Returns data that the seed decides.

        >>> data = LinearData.draw(0)
        >>> data.rows()[0].shape, data.rows()[1].shape
        (torch.Size([72, 4]), torch.Size([72, 3]))
        """
        s = setting or FactorialSetting()
        random = generator(seed, "factorial")
        latent = normal(random, s.items, s.inputs) @ invertible(random, s.inputs, 0.5, 2.0)
        target = normal(random, s.outputs, s.inputs) / s.inputs**0.5
        deviations = s.sigma * log_uniform(random, s.spread**-0.5, s.spread**0.5, s.outputs)
        noise = normal(random, s.noises, s.outputs) * deviations @ orthogonal(random, s.outputs)
        views = [invertible(random, s.inputs, 0.7, 1.4) for _ in range(2)]
        return cls(latent, noise - noise.mean(0), target, views[0], views[1])

    def rows(self) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n m"]]:
        """Returns x and y of every input with every noise vector."""
        x = self.latent.repeat_interleave(len(self.noise), 0)
        return x, x @ self.target.T + self.noise.repeat(len(self.latent), 1)

    @property
    def noise_covariance(self) -> Float[Tensor, "m m"]:
        """Σ_ε over the noise vectors, which is what the training set has."""
        return self.noise.T @ self.noise / len(self.noise)

    def fresh(self, seed: int, count: int) -> Float[Tensor, "c n"]:
        """Returns new inputs with the second moment of those trained on."""
        moment = self.latent.T @ self.latent / len(self.latent)
        return torch.matmul(normal(generator(seed, "fresh"), count, len(moment)), torch.linalg.cholesky(moment).T)


@dataclass(frozen=True, eq=False)
class MemberData:
    """What one network is trained on.

    Attributes:
        inputs: `[n, d]`.
        targets: `[n, m]`.
        items: `[k, d]`, the distinct items that its layers are compared on; row k is the same item for both members.
    """

    inputs: Float[Tensor, "n d"]
    targets: Float[Tensor, "n m"]
    items: Float[Tensor, "k d"]

    @classmethod
    def pair(cls, data: LinearData) -> tuple[MemberData, MemberData]:
        """Returns both members' data."""
        x, y = data.rows()
        made = [cls(x @ view.T, y, data.latent @ view.T) for view in (data.view_a, data.view_b)]
        return made[0], made[1]
