"""Solving symmetric systems that are only given as products."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(matrix: Callable[[Tensor], Tensor], b: Tensor, iterations: int) -> Tensor:
    """x with matrix(x) = b as nearly as `iterations` products get, row by row of (B, *) (Hestenes & Stiefel 1952).

    matrix: symmetric positive semidefinite on every row. A row that is solved, or along which the matrix gives nothing,
    stays where it is.
    """
    x, residual = torch.zeros_like(b), b
    direction, power = residual, _dot(residual, residual)
    enough = torch.finfo(b.dtype).eps ** 2 * power
    for _ in range(iterations):
        product = matrix(direction)
        curvature = _dot(direction, product)
        going = (curvature > 0) & (power > enough)
        step = torch.where(going, power / curvature, 0.0)
        x, residual = x + step * direction, residual - step * product
        before, power = power, _dot(residual, residual)
        direction = residual + torch.where(going, power / before, 0.0) * direction
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of every row, shaped to multiply rows."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))
