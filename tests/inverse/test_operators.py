"""The contract of every operator: one line in OPERATORS_UNDER_TEST brings the battery."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unnoise.inverse import OPERATORS, Blur, Downsampling, Grey, Inpainting, Operator

SHAPE = (2, 3, 8, 12)
MASK = torch.rand(8, 12, generator=torch.Generator().manual_seed(9)) < 0.4
OPERATORS_UNDER_TEST: list[Operator] = [
    Inpainting(MASK),
    Inpainting(torch.stack([MASK, ~MASK])[:, None]),
    Downsampling(1),
    Downsampling(2),
    Downsampling(4),
    Grey(),
    Grey((1 / 3, 1 / 3, 1 / 3)),
    Blur(0.6),
    Blur(2.0),
    Blur(0.6, border="periodic"),
    Blur(2.0, border="periodic", floor=0.2),
]

every_operator = pytest.mark.parametrize("operator", OPERATORS_UNDER_TEST, ids=lambda o: type(o).__name__)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(operator: Operator) -> Tensor:
    """A for the first image of the batch, column by column."""
    basis = torch.eye(3 * 8 * 12, dtype=torch.float64).reshape(-1, 1, *SHAPE[1:]).expand(-1, 2, *SHAPE[1:])
    return torch.stack([operator.forward(unit)[0].flatten() for unit in basis], 1)


def test_every_name_is_under_test() -> None:
    assert {type(operator) for operator in OPERATORS_UNDER_TEST} == set(OPERATORS.values())


@every_operator
def test_adjoint(operator: Operator) -> None:
    """<A x, y> = <x, A^T y>."""
    x = normal(*SHAPE)
    y = normal(*operator.forward(x).shape, seed=1)
    torch.testing.assert_close((operator.forward(x) * y).sum(), (x * operator.adjoint(y)).sum())


@every_operator
def test_pseudo_inverse_is_moore_and_penroses(operator: Operator) -> None:
    """The four conditions determine A^+."""
    forward, inverse = operator.forward, operator.pseudo_inverse
    x, x_2 = normal(*SHAPE), normal(*SHAPE, seed=2)
    y, y_2 = normal(*forward(x).shape, seed=1), normal(*forward(x).shape, seed=3)
    torch.testing.assert_close(forward(inverse(forward(x))), forward(x))
    torch.testing.assert_close(inverse(forward(inverse(y))), inverse(y))
    torch.testing.assert_close((forward(inverse(y)) * y_2).sum(), (y * forward(inverse(y_2))).sum())
    torch.testing.assert_close((inverse(forward(x)) * x_2).sum(), (x * inverse(forward(x_2))).sum())


@every_operator
def test_solve_is_the_dense_one(operator: Operator) -> None:
    a = matrix(operator)
    x = normal(*SHAPE)
    y = operator.forward(x)
    dense = 0.7 * a @ a.T + 0.3 * torch.eye(len(a), dtype=torch.float64)
    expected = torch.linalg.solve(dense, y[0].flatten())
    torch.testing.assert_close(operator.solve(y, 0.7, 0.3)[0].flatten(), expected)


@every_operator
def test_solve_takes_a_scale_for_every_row(operator: Operator) -> None:
    y = operator.forward(normal(*SHAPE))
    together = operator.solve(y, torch.tensor([0.5, 2.0], dtype=torch.float64).reshape(2, 1, 1, 1), 0.1)
    torch.testing.assert_close(together[0], operator.solve(y, 0.5, 0.1)[0])
    torch.testing.assert_close(together[1], operator.solve(y, 2.0, 0.1)[1])


@every_operator
def test_keeps_the_type(operator: Operator) -> None:
    y = operator.forward(normal(*SHAPE).float())
    assert y.dtype == operator.pseudo_inverse(y).dtype == torch.float32
    assert operator.pseudo_inverse(y).shape == SHAPE


def test_downsampling_takes_box_means() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert Downsampling(2).forward(x).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(Downsampling(2).pseudo_inverse(torch.tensor([[[[3.0]]]])), torch.full((1, 1, 2, 2), 3.0))


def test_greying_weighs_the_channels() -> None:
    x = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(Grey().forward(x).item(), 0.299 - 0.114)


@pytest.mark.parametrize("border", ["periodic", "reflected"])
def test_blurring_is_the_convolution_by_hand(border: str) -> None:
    """The middle of a large image, where no border reaches, and a constant image, which no blur changes."""
    x = normal(1, 1, 33, 35)
    reach = torch.arange(-8, 9, dtype=torch.float64)
    kernel = torch.exp(-(reach**2) / (2 * 0.7**2))
    kernel = kernel / kernel.sum()
    expected = (x[0, 0, 8:25, 9:26] * kernel[:, None] * kernel).sum()
    blurred = Blur(0.7, border, floor=1e-9).forward(x)
    torch.testing.assert_close(blurred[0, 0, 16, 17], expected)
    torch.testing.assert_close(Blur(3.0, border).forward(torch.ones(1, 1, 9, 7)), torch.ones(1, 1, 9, 7))


def test_borders_are_what_they_are_called() -> None:
    """A bright column at the left edge reaches the right edge of a periodic image only."""
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[..., 0] = 1
    periodic, reflected = (Blur(0.8, border, floor=1e-9).forward(x)[0, 0, 3] for border in ("periodic", "reflected"))
    torch.testing.assert_close(periodic[-1], periodic[1])
    assert reflected[-1].abs() < 1e-6
    torch.testing.assert_close(reflected[0], periodic[0] + periodic[1], rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Inpainting(torch.ones(4, 4)), "boolean"),
        (lambda: Downsampling(0), "at least 1"),
        (lambda: Downsampling(3).forward(torch.zeros(1, 1, 4, 4)), "4x4 do not divide by the factor 3"),
        (lambda: Grey().forward(torch.zeros(1, 1, 4, 4)), "3 channels, got 1"),
        (lambda: Blur(-1.0), "std > 0"),
        (lambda: Blur(1.0, "zero"), "allowed: periodic, reflected"),
    ],
)
def test_impossible_requests_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
