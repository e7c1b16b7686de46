"""How well the versions of a picture agree with what was seen of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.inverse import Decoded, Operator
from unnoise.process.codec import Codec

POOR_FROM = 2.0
TOLERATED = 0.03
"""A version is poor whose residual is above POOR_FROM sqrt(expected^2 + TOLERATED^2). Good results of 20 steps have
residuals up to 0.06 where 0.01 is expected, so that much is the method's own; measured in docs/editing.md."""

DESCENT = 100


class Residual(NamedTuple):
    """The root mean square of y - A x over the observed numbers y, for pixels in [-1, 1].

    Attributes:
        rms: of each version x, (N,).
        expected: where x is right: of the observation's noise, and of what a latent model's codec loses, (N,).
    """

    rms: Tensor
    expected: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, images: Tensor, operator: Operator, observation: Tensor, noise: float, codec: Codec | None) -> Residual:
        """That of images (N, C, H, W) against an observation (1, *) whose noise has the standard deviation `noise`."""
        missed = (observation - operator.forward(images)).square().flatten(1).sum(1)
        rms = (missed / operator.count(observation).clamp(min=1)).sqrt()
        lost = torch.zeros(1) if codec is None else Decoded(operator, codec).loss(observation).flatten()
        return cls(rms, (lost.to(rms).square() + noise**2).sqrt().expand_as(rms))

    @property
    def poor(self) -> Tensor:
        """Which versions disagree with the picture, (N,) bool; NaN disagrees."""
        return ~(self.rms <= POOR_FROM * (self.expected.square() + TOLERATED**2).sqrt())

    def summary(self, seeds: Sequence[int]) -> Record:
        """{residual, expected_residual, poor}: numbers per version, and the seeds of the poor ones."""
        return {
            "residual": [round(value, 4) for value in self.rms.tolist()],
            "expected_residual": round(float(self.expected.max()), 4),
            "poor": [seed for seed, poor in zip(seeds, self.poor.tolist(), strict=True) if poor],
        }


@torch.no_grad()
def unexplained(operator: Operator, observation: Tensor) -> float:
    """The least root mean square of y - A x over images x in [-1, 1]: how far an observation y is from what A can show.

    By projected gradient descent from A^+ y, in `DESCENT` steps of 1, for operators with |A| <= 1, as all of ours are.
    """
    x = operator.pseudo_inverse(observation).clamp(-1, 1)
    for _ in range(DESCENT):
        x = (x + operator.adjoint(observation - operator.forward(x))).clamp(-1, 1)
    return float((observation - operator.forward(x)).square().mean().sqrt())


def joined(parts: Sequence[Residual | None]) -> Residual | None:
    """The residuals of several batches as one; None where a task has none."""
    found = [part for part in parts if part is not None]
    return Residual(*(torch.cat(values) for values in zip(*found, strict=True))) if found else None


def warning(summary: Record, advice: str) -> str | None:
    """One line about the poor versions; None where there are none."""
    poor = summary["poor"]
    if not poor:
        return None
    which = (
        "every version disagrees" if len(poor) == len(summary["residual"]) else f"the versions of seeds {poor} disagree"
    )
    return (
        f"poor result: {which} with the picture (residual up to {max(summary['residual']):.3f}, "
        f"expected about {summary['expected_residual']:.3f}); {advice}"
    )
