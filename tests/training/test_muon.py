"""Muon: orthogonal directions, torch's own implementation on matrices, AdamW on the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unnoise.training.muon import ITERATIONS, MOMENTUM, QUINTIC, Muon, is_matrix, orthogonalised


def test_singular_values_come_near_one_and_directions_stay() -> None:
    draws = torch.Generator().manual_seed(0)
    matrices = [torch.randn(shape, generator=draws) for shape in ((16, 40), (40, 16), (24, 24), (16, 90))]
    for matrix, made in zip(matrices, orthogonalised(matrices), strict=True):
        values = torch.linalg.svdvals(made)
        assert values.min() > 0.3
        assert values.max() < 1.3
        u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
        aligned = torch.einsum("ji,jk,ik->i", u, made, vt)  # the diagonal of U^T made V
        assert aligned.min() > 0.3


def test_the_iteration_on_squares_is_the_iteration_on_the_matrix() -> None:
    draws = torch.Generator().manual_seed(0)
    nearly_singular = torch.randn(16, 2, generator=draws) @ torch.randn(2, 40, generator=draws)
    nearly_singular += 1e-5 * torch.randn(16, 40, generator=draws)
    matrices = [nearly_singular, *(torch.randn(shape, generator=draws) for shape in ((16, 40), (60, 16), (24, 24)))]
    a, b, c = QUINTIC
    for matrix, made in zip(matrices, orthogonalised(matrices), strict=True):
        x = matrix.double() / matrix.double().norm()
        for _ in range(ITERATIONS):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
        torch.testing.assert_close(made.double(), x, rtol=0, atol=1e-4)


def test_matrices_move_as_in_torch() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    draws = torch.Generator().manual_seed(0)
    start = torch.randn(24, 40, generator=draws)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    here = Muon([ours], lr=1e-3, weight_decay=0.1, boost=1.0)
    there = torch.optim.Muon([theirs], lr=1e-3, weight_decay=0.1, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        ours.grad = torch.randn(24, 40, generator=draws)
        theirs.grad = ours.grad.clone()
        here.step()
        there.step()
    moved = (theirs.detach() - start).norm()
    assert float((ours.detach() - theirs.detach()).norm() / moved) < 0.02  # theirs iterates in bf16


def test_the_rest_moves_as_by_adamw() -> None:
    draws = torch.Generator().manual_seed(0)
    start = torch.randn(40, generator=draws)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    here, there = Muon([ours], lr=1e-2, weight_decay=0.1), torch.optim.AdamW([theirs], lr=1e-2, weight_decay=0.1)
    for _ in range(5):
        ours.grad = torch.randn(40, generator=draws)
        theirs.grad = ours.grad.clone()
        here.step()
        there.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_convolutions_are_matrices_and_short_sides_are_not() -> None:
    assert is_matrix(torch.empty(16, 8, 3, 3))
    assert not is_matrix(torch.empty(16))
    assert not is_matrix(torch.empty(1, 32, 3, 3))
    assert is_matrix(torch.empty(16, 1, 3, 3))


def test_a_convolution_moves_as_its_matrix() -> None:
    draws = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(16, 8, 3, 3, generator=draws), torch.randn(16, 8, 3, 3, generator=draws)
    layer, matrix = nn.Parameter(start.clone()), nn.Parameter(start.reshape(16, 72).clone())
    layer.grad, matrix.grad = gradient, gradient.reshape(16, 72)
    for parameter in (layer, matrix):
        Muon([parameter], lr=1e-2).step()
    torch.testing.assert_close(layer.reshape(16, 72), matrix)


def test_the_state_goes_on_to_the_bit() -> None:
    def made() -> tuple[nn.Linear, Muon]:
        torch.manual_seed(0)
        layer = nn.Linear(16, 16)
        return layer, Muon(layer.parameters(), lr=1e-2)

    def steps(layer: nn.Linear, optimizer: Muon, seeds: range) -> None:
        for seed in seeds:
            x = torch.randn(4, 16, generator=torch.Generator().manual_seed(seed))
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()

    whole, optimizer = made()
    steps(whole, optimizer, range(4))
    first, before = made()
    steps(first, before, range(2))
    second, after = made()
    second.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())
    steps(second, after, range(2, 4))
    assert torch.equal(second.weight, whole.weight)
    assert torch.equal(second.bias, whole.bias)
