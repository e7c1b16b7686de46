"""What a network is told while images are drawn, as numbers: where that is a class or nothing, it is a table."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.errors import NotApplicable
from unnoise.models import Diffusion


def told_vectors(model: Diffusion) -> Tensor | None:
    """The vectors (classes + 1, vector_dim) that a model's conditioner gives its network: one for each class or
    cluster, the last where there is none; None for a model that tells its network nothing.

    What is read in training alone, as what augmentation did, is told as nothing done, and so is part of each row.

    Raises:
        NotApplicable: for conditions that are neither classes nor nothing, and for classes of two kinds.
    """
    conditioner = model.conditioner
    if conditioner is None:
        return None
    choices = conditioner.choices
    others = [name for name in conditioner.names if name not in choices]
    if others or len(choices) > 1 or conditioner.spatial_channels or conditioner.token_dim:
        raise NotApplicable(
            f"diffusers' UNet2DModel has no counterpart of the conditions {', '.join([*choices, *others])}"
        )
    with torch.no_grad():
        nothing = conditioner(None, 1).vector
        assert nothing is not None  # neither spatial nor tokens
        if not choices:
            return nothing
        ((name, count),) = choices.items()
        each = conditioner({name: torch.arange(count, device=conditioner.device)}, count).vector
    assert each is not None
    return torch.cat([each, nothing])
