"""What is pretended to be a GPU refuses what a GPU refuses, and tells what the host waits for."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tests.metrics.watch import Counted
from tests.pretend import Pretend, There

CUDA = torch.device("cuda")


@pytest.fixture
def pretend():
    with Pretend() as entered:
        yield entered


@pytest.mark.usefixtures("pretend")
def test_what_is_there_says_so_and_is_worked_on():
    x = torch.arange(6.0, device="cuda").view(2, 3)
    assert isinstance(x, There)
    assert x.device == torch.device("cuda:0")
    assert x.is_cuda
    assert (x @ x.T).device.type == "cuda"
    assert torch.tensor([1, 2], device=CUDA).is_cuda
    assert torch.ones(2, 2).to(x).is_cuda
    assert torch.zeros_like(x).is_cuda
    assert x.new_zeros(2).is_cuda
    assert x.new_tensor([1]).is_cuda
    assert torch.from_numpy(np.ones(3)).cuda().is_cuda
    assert (x + torch.tensor(1.0)).tolist() == [[1, 2, 3], [4, 5, 6]]  # a number may come from the host
    assert not x.cpu().is_cuda
    assert not torch.ones(2).is_cuda
    row = x[0]
    row.add_(10)
    assert x[0].tolist() == [10, 11, 12]  # a view is one
    torch.mm(x, x.T, out=x.new_empty(2, 2))
    with torch.inference_mode():
        assert nn.functional.linear(x, x).is_cuda


@pytest.mark.usefixtures("pretend")
def test_what_a_gpu_refuses_is_refused():
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    whole = torch.ones(2, 2, dtype=torch.int64, device="cuda")
    for wrong in (
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: torch.stack([there, here]),
        lambda: torch.where(there > 0, there, here),
        lambda: there.index_add_(0, torch.tensor([0]), there[:1]),
        lambda: there.gather(0, torch.tensor([0])),
        lambda: here[there.long()],
        lambda: there.index_put_((torch.tensor([0]),), here[:1]),
        lambda: torch.mm(there[None], there[:, None], out=torch.empty(1, 1)),
        lambda: whole @ whole,
        lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
        lambda: torch.multinomial(there, 1, generator=torch.Generator()),
        lambda: nn.functional.embedding(torch.tensor([0]), there[:, None]),
    ):
        with pytest.raises(RuntimeError):
            wrong()
    for wrong in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises((RuntimeError, TypeError)):
            wrong()


def test_what_is_kept_beyond_it_is_refused():
    with Pretend():
        there = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="keep Pretend entered"):
        there.sum()
    assert not torch.cuda.is_initialized()


def warned(work):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        work()
        torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(one.message) for one in seen)


@pytest.mark.usefixtures("pretend")
def test_what_the_host_waits_for_is_told():
    x, places = torch.arange(6.0, device="cuda"), torch.tensor([1, 2])
    for wait in (
        lambda: float(x.sum()),
        lambda: bool((x > 1).any()),
        lambda: x.tolist(),
        lambda: x.cpu(),
        lambda: x.nonzero(),
        lambda: x[x > 1],
        lambda: x[places],
        lambda: x.copy_(torch.ones(6)),
        lambda: torch.unique(x),
        lambda: torch.tensor([1.0], device="cuda"),
        lambda: x.new_tensor([1.0]),
        lambda: torch.equal(x, x),
        lambda: torch.linalg.svdvals(x.view(2, 3)),
        lambda: torch.linalg.cholesky(x.new_ones(1, 1)),
    ):
        assert warned(wait) == 1, wait
    for work in (
        lambda: x[x.argsort()].masked_fill(x > 1, 0.0).topk(2),
        lambda: torch.zeros(2, device="cuda"),
        lambda: torch.ones(2).sum().item(),
    ):
        assert warned(work) == 0, work


@pytest.mark.usefixtures("pretend")
def test_what_is_done_there_is_counted():
    x = torch.ones(3, 4, device="cuda")
    with Counted() as counted:
        y = (x.T @ x)[:2].T.flatten()
        torch.empty(3, device="cuda")
    assert counted.count == 2  # the product; what is turned and made flat is a copy
    assert y.is_cuda


@pytest.mark.usefixtures("pretend")
def test_gradients_are_taken_there():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to("cuda")
    assert all(p.is_cuda and isinstance(p, nn.Parameter) for p in model.parameters())
    x = torch.randn(5, 3).to("cuda")
    first = torch.autograd.grad(model(x).square().mean(), list(model.parameters()), create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), list(model.parameters()), allow_unused=True)
    assert all(g.is_cuda for g in first)
    assert second[0].is_cuda
    model(x).mean().backward()
    assert model[0].weight.grad.is_cuda
