"""What a network is told while images are drawn, as numbers: where that is a class or nothing, it is a table."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.errors import NotApplicable
from unnoise.models import Diffusion


def told_vectors(model: Diffusion, classes: int) -> Tensor | None:
    """The vectors (classes + 1, vector_dim) that a model's conditioner gives its network: one for each class, the last
    where there is none; None for a model that tells its network nothing.

    What is read in training alone, as what augmentation did, is told as nothing done, and so is part of each row.

    Raises:
        NotApplicable: for conditions that are neither classes nor nothing.
    """
    conditioner = model.conditioner
    if conditioner is None:
        return None
    if set(conditioner.names) - {"label"} or conditioner.spatial_channels or conditioner.token_dim:
        raise NotApplicable(
            f"diffusers' UNet2DModel has no counterpart of the conditions {', '.join(conditioner.names)}"
        )
    with torch.no_grad():
        nothing = conditioner(None, 1).vector
        assert nothing is not None  # neither spatial nor tokens
        if not conditioner.names:
            return nothing
        each = conditioner({"label": torch.arange(classes, device=conditioner.device)}, classes).vector
    assert each is not None
    return torch.cat([each, nothing])
