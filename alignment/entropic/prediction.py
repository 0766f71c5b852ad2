"""LinearTheory: what the theory says of an embedded deep linear network, f(x) = M_O W_D … W_1 M_I x.

The data are y = V x + ε with ε independent of x. Among the global minima of the mean square error the entropic ones
have the same kernel in every hidden layer, whatever the widths and depths. Σ_x is the second moment of the network's
input, before M_I. The numbers (4.1), (4.2), (5.1), (5.2) are those of the project's theory notes.

Source: Ziyin and Chuang 2025, arXiv 2507.01098; Ziyin, Xu and Chuang 2025, arXiv 2505.12387; arXiv 2602.05065. The
closed forms, and the limit of the step, are derived for this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LinearTheory:
    """The setting, in float64.

    Attributes:
        target: V, `[outputs, inputs]`.
        inputs: Σ_x, positive definite.
        noise: Σ_ε, positive definite.
        map_in: M_I.
        map_out: M_O.
        depth: D, the number of trained layers.
    """

    target: Float[Tensor, "m n"]
    inputs: Float[Tensor, "n n"]
    noise: Float[Tensor, "m m"]
    map_in: Float[Tensor, "n n"]
    map_out: Float[Tensor, "m m"]
    depth: int

    def kernel(self) -> Float[Tensor, "n n"]:
        """Returns P of (4.1): every hidden layer's kernel is a multiple of x₁ᵀ P x₂."""
        back = _power(self.inputs, -0.5)
        _, modes, right = torch.linalg.svd(self._whitened(), full_matrices=False)
        half = (right * modes.sqrt()[:, None]) @ back  # by singular values: a square's root loses half the digits
        return torch.matmul(half.T, half)

    @property
    def temperature(self) -> float:
        """T of (4.2): in balance each layer has E‖g‖² = 4 T."""
        a, b = self._ends()
        return float((self._modes().sum() ** (2 * (self.depth - 1)) * a * b) ** (1 / self.depth))

    @property
    def least_square(self) -> float:
        """The least E‖g‖² over all layers at a global minimum, 4 D T."""
        return 4 * self.depth * self.temperature

    @property
    def sharpness(self) -> float:
        """The trace of the Hessian at the entropic minimum (5.1)."""
        left, modes, _ = torch.linalg.svd(self._whitened(), full_matrices=False)
        spread = torch.trace(torch.linalg.solve(self.noise, (left * modes) @ left.T))
        a, _ = self._ends()
        ends = self.map_out.square().sum() / a
        return float(2 * self.temperature * ((self.depth - 1) * spread / modes.sum() + ends))

    @property
    def flattest(self) -> float:
        """The least trace of the Hessian over all global minima (5.2); equal to `sharpness` for isotropic noise."""
        _, b = self._ends()
        modes = torch.linalg.svdvals(self.target @ _power(self.inputs, 0.5)).sum()
        return float(
            2 * self.depth * (modes ** (2 * (self.depth - 1)) * self.map_out.square().sum() * b) ** (1 / self.depth)
        )

    @property
    def collapse(self) -> float:
        """The step η at which, to first order, the entropy has shrunk the weakest mode of V to nothing.

        At a finite η the minimum of E‖f - y‖² + (η/4) E‖g‖² is moved by -η (D - 1) (a_D b_0)^(1/D) s^((D-2)/D) Σ_ε U Rᵀ
        in the coordinates where V has the singular values s_k, s is their sum, and U, R their vectors. On three seeds
        the mode was gone at 0.6 to 1.0 times this step: a first-order number, on the high side.
        """
        left, modes, _ = torch.linalg.svd(self._whitened(), full_matrices=False)
        kept = modes > 1e-12 * modes[0]
        a, b = self._ends()
        pull = (self.depth - 1) * (a * b) ** (1 / self.depth) * float(modes.sum()) ** ((self.depth - 2) / self.depth)
        weight = torch.einsum("mk,mn,nk->k", left, self.noise, left)
        return float((modes / (pull * weight))[kept].min())

    def _whitened(self) -> Float[Tensor, "m n"]:
        found: Tensor = torch.linalg.multi_dot([_power(self.noise, 0.5), self.target, _power(self.inputs, 0.5)])
        return found

    def _modes(self) -> Float[Tensor, " k"]:
        modes: Tensor = torch.linalg.svdvals(self._whitened())
        return modes

    def _ends(self) -> tuple[float, float]:
        """Returns a_D = tr(M_Oᵀ Σ_ε M_O) and b_0 = tr(M_I Σ_x M_Iᵀ)."""
        a = torch.trace(self.map_out.T @ self.noise @ self.map_out)
        return float(a), float(torch.trace(self.map_in @ self.inputs @ self.map_in.T))


def _power(matrix: Float[Tensor, "n n"], exponent: float) -> Float[Tensor, "n n"]:
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return torch.matmul(vectors * values.clamp(min=0) ** exponent, vectors.T)
