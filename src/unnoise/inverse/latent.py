"""Operators on images, seen from the latents that a latent model diffuses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unnoise.inverse.conjugate_gradients import conjugate_gradients
from unnoise.inverse.operators import Measurement, Operator
from unnoise.process.codec import Codec


@dataclass(frozen=True, eq=False)
class Decoded(Measurement):
    """y = A D(z): what an operator A shows of the image D(z) that a codec makes of z.

    Through a linear decoder the posterior samplers are as exact as on pixels; through any other they take D for its
    derivative at the denoised latents, which is where they are wrong (as are latent DPS and PSLD, Rout et al. 2023).
    iterations: of conjugate gradients in the `solve` of that derivative.
    """

    operator: Operator
    codec: Codec
    iterations: int = 3

    def forward(self, x: Tensor) -> Tensor:
        return self.operator.forward(self.codec.decode(x, clamp=False))

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """The latents of A^+ y."""
        return self.codec.encode(self.operator.pseudo_inverse(y))

    def at(self, x: Tensor) -> tuple[Tensor, Operator]:
        with torch.enable_grad():
            z = x.detach().requires_grad_()
            y = self.forward(z)
        return y.detach(), Tangent(y, z, self.iterations)

    def count(self, y: Tensor) -> Tensor:
        return self.operator.count(y)

    @torch.no_grad()
    def loss(self, y: Tensor) -> Tensor:
        """The standard deviation of what the codec loses, (B, 1, 1, 1): of y - A D E(A^+ y), over the observed numbers.

        To a posterior sampler it is noise: no latents explain y better.
        """
        lost = (y - self.forward(self.pseudo_inverse(y))).square().flatten(1).sum(1)
        return (lost / self.count(y).clamp(min=1)).sqrt().view(-1, 1, 1, 1)


@dataclass(frozen=True, eq=False)
class Tangent(Operator):
    """The derivative of y = f(z) at z, rows apart. y, z: (B, *), joined by autograd's graph."""

    y: Tensor
    z: Tensor
    iterations: int = 3

    def forward(self, x: Tensor) -> Tensor:
        """J x, as the derivative of J^T u in u."""
        u, pulled = self._pulled
        (product,) = torch.autograd.grad(pulled, u, x, retain_graph=True)
        return product

    def adjoint(self, y: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(self.y, self.z, y, retain_graph=True)
        return product

    def solve(self, y: Tensor, scale: float | Tensor = 1.0, ridge: float | Tensor = 0.0) -> Tensor:
        """By conjugate gradients, `iterations` of them: few also regularise where J J^T hardly reaches."""
        return conjugate_gradients(
            lambda v: scale * self.forward(self.adjoint(v)) + ridge * v, y, iterations=self.iterations
        )

    @cached_property
    def _pulled(self) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            u = torch.zeros_like(self.y).requires_grad_()
            (pulled,) = torch.autograd.grad(self.y, self.z, u, create_graph=True)
        return u, pulled
