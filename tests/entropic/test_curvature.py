"""Sharpness against the whole Hessian, the local order, and the theory's closed forms against their definitions."""

from dataclasses import replace

import pytest
import torch

from alignment.entropic.chance import generator, invertible, normal, orthogonal
from alignment.entropic.initial import dense_network, linear_network
from alignment.entropic.kernels import form_alignment, kernel_alignment
from alignment.entropic.local_order import local_order
from alignment.entropic.prediction import LinearTheory
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.sharpness import largest_eigenvalue, linear_trace, trace
from alignment.errors import TrainingError
from alignment.models import DenseConfig
from tests.entropic.networks import KINDS, problem, tanh_problem


def hessian(made: Problem) -> torch.Tensor:
    """All of it, by torch's own functional Hessian."""
    names = list(made.parameters)
    sizes = [p.numel() for p in made.parameters.values()]
    shapes = [p.shape for p in made.parameters.values()]

    def loss(theta: torch.Tensor) -> torch.Tensor:
        values = [part.reshape(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True)]
        outputs = torch.func.functional_call(made.model, dict(zip(names, values, strict=True)), (made.inputs,))
        return made.losses(outputs, made.targets).mean()

    return torch.autograd.functional.hessian(loss, torch.cat([p.detach().flatten() for p in made.parameters.values()]))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "padded"])
def test_lanczos_and_hutchinson_against_the_whole_hessian(kind: str) -> None:
    made = problem(kind)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        whole = hessian(made)
    assert largest_eigenvalue(made) == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-6)
    found = trace(made, probes=200)
    assert abs(found.value - float(whole.trace())) < 4 * found.error


def test_the_exact_trace_of_a_linear_network() -> None:
    network = linear_network((4, 6, 5, 3), 0, "a")
    random = generator(0, "rows")
    made = Problem(network, square_error, normal(random, 20, 4), normal(random, 20, 3))
    assert linear_trace(network, made.inputs) == pytest.approx(float(hessian(made).trace()), rel=1e-10)
    with pytest.raises(TrainingError, match="use `trace`"):
        linear_trace(dense_network(DenseConfig((4, 3, 2)), 0, "a"), made.inputs)


@pytest.mark.parametrize("seed", range(3))
def test_the_entropic_flow_follows_a_step_one_order_further(seed: int) -> None:
    with_entropy, without = local_order(tanh_problem(seed)).slopes
    assert 2.8 <= with_entropy <= 3.1
    assert 1.85 <= without <= 2.1


def theory(seed: int = 0, depth: int = 3) -> LinearTheory:
    random = generator(seed, "theory")
    inputs, noise = (invertible(random, size, 0.5, 2.0) for size in (4, 3))
    return LinearTheory(
        normal(random, 3, 4), inputs @ inputs.T, noise @ noise.T, invertible(random, 4, 0.5, 2.0),
        invertible(random, 3, 0.5, 2.0), depth,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_the_predicted_kernel_is_the_same_from_every_invertible_view(seed: int) -> None:
    made = theory(seed)
    random = generator(seed, "views")
    z = invertible(random, 4, 0.5, 2.0)
    seen = replace(made, target=made.target @ torch.linalg.inv(z), inputs=z @ made.inputs @ z.T)
    torch.testing.assert_close(z.T @ seen.kernel() @ z, made.kernel(), rtol=1e-9, atol=1e-9)
    turned = orthogonal(random, 3)
    rotated = replace(made, target=turned @ made.target, noise=turned @ made.noise @ turned.T)
    torch.testing.assert_close(rotated.kernel(), made.kernel(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_entropic_minimum_is_never_flatter_than_the_flattest(depth: int) -> None:
    made = theory(depth=depth)
    assert made.sharpness > made.flattest
    isotropic = replace(made, noise=0.3 * torch.eye(3, dtype=torch.float64))
    assert isotropic.sharpness == pytest.approx(isotropic.flattest, rel=1e-10)


def test_beyond_the_collapse_a_mode_is_lost_and_the_run_says_so() -> None:
    kept = train(TrainingRequest(seed=7))
    limit = min(member.prediction.collapse for member in kept.members)
    lost = train(TrainingRequest(strength=1.5 * limit, steps=200, seed=7))
    assert not kept.warnings
    assert [warning.code for warning in lost.warnings] == ["not_converged", "rank_collapse"]  # 200 steps are few
    weakest = []
    for result in (kept, lost):
        maps = [torch.eye(member.network.config.widths[0], dtype=torch.float64) for member in result.members]
        for place, member in enumerate(result.members):
            for weight in member.network.parameters():
                maps[place] = weight.detach() @ maps[place]
        weakest.append(min(float(torch.linalg.svdvals(made)[-1]) for made in maps))
    assert weakest[1] < 1e-3 * weakest[0]


def test_kernel_alignment_against_its_definition() -> None:
    random = generator(0, "kernels")
    x, y = normal(random, 9, 4), normal(random, 9, 6)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    found = kernel_alignment([x, 3 * x @ orthogonal(random, 4)], [y])
    assert float(found[0, 0]) == pytest.approx(float((k * l).sum() / (k.norm() * l.norm())), rel=1e-12)
    assert float(found[1, 0]) == pytest.approx(float(found[0, 0]), rel=1e-12)
    h = torch.eye(9, dtype=torch.float64) - 1 / 9
    k, l = h @ k @ h, h @ l @ h  # noqa: E741
    cka = float((k * l).sum() / (k.norm() * l.norm()))
    assert float(kernel_alignment([x], [y], centred=True)) == pytest.approx(cka, rel=1e-12)
    form = invertible(random, 4, 0.5, 2.0)
    form = form @ form.T
    assert float(form_alignment([x], x, form)) == pytest.approx(
        float(kernel_alignment([x], [x @ torch.linalg.cholesky(form)]))
    )
