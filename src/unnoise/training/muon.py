"""Muon: momentum whose matrices are made orthogonal, so that every direction of a weight learns at the same rate."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.runtime.precision import products_in

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of the iteration X <- a X + (b A + c A^2) X, A = X X^T, which takes singular values of (0, 1] to about 0.7..1.2."""
ITERATIONS = 5
MOMENTUM = 0.95
RMS = 0.2
"""Of a matrix's update over the learning rate: what AdamW's updates have (Liu et al. 2025)."""
LEAST_SIDE = 8
"""Matrices with a shorter side, such as the first and the last convolution's, learn by AdamW."""


class Muon(torch.optim.Optimizer):
    """W <- W - lr 0.2 sqrt(max(rows, columns)) orthogonalised(momentum), AdamW for what is no matrix.

    Convolutions are matrices of out_channels rows. The learning rate is AdamW's times `boost` for matrices.

    Args:
        parameters: what learns.
        lr, betas, weight_decay: AdamW's; the decay is of both.
        boost: how much larger the rate of matrices is.

    Reference:
        Jordan et al. 2024, 'Muon: an optimizer for hidden layers in neural networks'; the scale is Liu et al.'s 2025,
        'Muon is scalable for LLM training', equation 4.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        boost: float = 2.0,
    ) -> None:
        given = list(parameters)
        groups = [
            {"params": [p for p in given if is_matrix(p)], "matrices": True},
            {"params": [p for p in given if not is_matrix(p)], "matrices": False},
        ]
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "boost": boost, "eps": 1e-8}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])  # type: ignore[attr-defined]
            if group["matrices"]:
                self._matrices(parameters, group)
            elif parameters:
                self._adam(parameters, group)

    def _matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Nesterov momentum, orthogonalised."""
        if not parameters:
            return
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters]
        momenta = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)  # type: ignore[arg-type]
        directions = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # type: ignore[arg-type]
        for parameter, update in zip(parameters, orthogonalised([d.flatten(1) for d in directions]), strict=True):
            size = group["lr"] * group["boost"] * RMS * math.sqrt(max(update.shape))
            parameter.add_(update.reshape(parameter.shape), alpha=-size)

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                zeros = {name: torch.zeros_like(parameter) for name in ("first", "second")}
                self.state[parameter].update(step=0, **zeros)
            self.state[parameter]["step"] += 1
        gradients = [p.grad for p in parameters]
        first, second = ([self.state[p][name] for p in parameters] for name in ("first", "second"))
        beta_1, beta_2 = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - beta_1)  # type: ignore[arg-type]
        torch._foreach_mul_(second, beta_2)  # type: ignore[attr-defined]
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta_2)  # type: ignore[arg-type]
        steps = [self.state[p]["step"] for p in parameters]
        roots = torch._foreach_sqrt(second)  # type: ignore[attr-defined]
        torch._foreach_div_(roots, [math.sqrt(1 - beta_2**step) for step in steps])  # type: ignore[attr-defined]
        torch._foreach_add_(roots, group["eps"])  # type: ignore[attr-defined]
        sizes = [-group["lr"] / (1 - beta_1**step) for step in steps]
        torch._foreach_addcdiv_(parameters, first, roots, sizes)  # type: ignore[attr-defined]


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon takes it: at least two dimensions, and no side too short to have directions."""
    return parameter.ndim >= 2 and min(len(parameter), parameter[0].numel()) >= LEAST_SIDE


def orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """About U V^T of each matrix U S V^T, by Newton and Schulz's iteration with QUINTIC.

    X_k = Q_k X, Q_k = P(G_{k-1}) Q_{k-1} and G_k = X_k X_k^T = P(G_{k-1})^2 G_{k-1}, with P(G) = a I + b G + c G^2. So
    all but two products are of the shorter side squared, and matrices with the same shorter side share them. Rounding
    leaves G with eigenvalues just under 0, which the iteration enlarges: fp32 keeps them harmless, bf16 would not.
    """
    flat = [one.mT if one.shape[0] > one.shape[1] else one for one in matrices]
    norms = torch._foreach_norm(flat)  # type: ignore[attr-defined]
    flat = [one / norm.clamp(min=1e-7) for one, norm in zip(flat, norms, strict=True)]
    alike: dict[int, list[int]] = defaultdict(list)
    for index, one in enumerate(flat):
        alike[len(one)].append(index)
    made = list(flat)
    with products_in(flat[0].device, "fp32"):
        for indices in alike.values():
            factors = _factors(torch.stack([flat[index] @ flat[index].mT for index in indices]))
            for index, factor in zip(indices, factors, strict=True):
                made[index] = factor @ flat[index]
    return [new.mT if old.shape[0] > old.shape[1] else new for new, old in zip(made, matrices, strict=True)]


def _factors(gram: Tensor) -> Tensor:
    """Q_5 of G_0 (N, side, side)."""
    a, b, c = QUINTIC
    identity = a * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    total = factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + identity
    for _ in range(ITERATIONS - 1):
        gram = torch.bmm(torch.bmm(factor, gram), factor)
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + identity
        total = torch.bmm(factor, total)
    return total
