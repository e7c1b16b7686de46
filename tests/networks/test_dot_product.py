"""Dot-product attention: both ways of computing it are the formula, and each is taken where it is the faster."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.networks import dot_product
from unnoise.networks.dot_product import dot_product_attention


def parts(keys: int, dtype: torch.dtype) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 5, 8), (2, 3, keys, 8), (2, 3, keys, 8))
    return [torch.randn(shape, generator=draws).to(dtype).requires_grad_() for shape in shapes]


def by_the_formula(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = torch.einsum("bhnd,bhld->bhnl", q, k) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
    return torch.einsum("bhnl,bhld->bhnd", weights, v)


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.03), (torch.float32, 1e-5)])
@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients_are_the_formula_s(dtype: torch.dtype, close: float, masked: bool) -> None:
    given = parts(7, dtype)
    exact = [part.detach().double().requires_grad_() for part in given]
    mask = torch.arange(7) % 3 != 1 if masked else None
    mask = None if mask is None else mask.expand(2, 1, 1, 7)
    made, right = dot_product_attention(*given, mask), by_the_formula(*exact, mask)
    towards = torch.randn(made.shape, generator=torch.Generator().manual_seed(1))
    (made * towards).sum().backward()
    (right * towards).sum().backward()
    torch.testing.assert_close(made.double(), right, rtol=close, atol=close)
    for one, other in zip(given, exact, strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=close, atol=close)


@pytest.mark.parametrize(
    ("dtype", "keys", "learns", "fused"),
    [
        (torch.bfloat16, 7, True, False),
        (torch.bfloat16, dot_product.WRITTEN_OUT + 1, True, True),
        (torch.bfloat16, 7, False, True),
        (torch.float32, 7, True, True),
    ],
)
def test_the_fused_kernel_is_left_where_its_backward_pass_is_slow(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, keys: int, learns: bool, fused: bool
) -> None:
    calls, kernel = [], F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: (calls.append(1), kernel(*a, **k))[1])
    with torch.set_grad_enabled(learns):
        dot_product_attention(*parts(keys, dtype))
    assert bool(calls) == fused
