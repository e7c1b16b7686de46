"""Which noise an image is mixed with."""

from __future__ import annotations

from typing import Literal

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from unnoise.host import sent

Pairing = Literal["independent", "optimal-transport"]
OPTIMAL_TRANSPORT: Pairing = "optimal-transport"


@torch.no_grad()
def optimal_pairing(x_0: Tensor, eps: Tensor) -> Tensor:
    """The rows of eps (B, *) in the order that minimises the sum of ||x_0 - eps||^2 over the rows of x_0 (B, *).

    Every order has the same marginals, so the flow ends at the same distribution (Pooladian et al. 2023, section 4).
    """
    distances = torch.cdist(x_0.flatten(1).double(), eps.flatten(1).double()).square()
    _, columns = linear_sum_assignment(distances.cpu().numpy())
    return eps[sent(torch.from_numpy(columns), eps.device)]
