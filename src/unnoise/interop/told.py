"""What a network is told while images are drawn, as numbers: where that is a class or nothing, it is a table."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.errors import NotApplicable
from unnoise.models import Diffusion


class Table(NamedTuple):
    """A row for each class or cluster, and the last where there is none. vectors (rows, vector_dim); maps: what lies
    under the image, (rows, C, h, w), or None."""

    vectors: Tensor
    maps: Tensor | None = None


def told_table(model: Diffusion) -> Table | None:
    """What a model's conditioner tells its network; None for a model that tells it nothing.

    What is read in training alone, as what augmentation did, is told as nothing done, and so is part of each row.

    Raises:
        NotApplicable: for conditions that are neither classes nor nothing, and for classes of two kinds.
    """
    conditioner = model.conditioner
    if conditioner is None:
        return None
    choices = conditioner.choices
    others = [name for name in conditioner.names if name not in choices]
    if others or len(choices) > 1 or conditioner.token_dim:
        raise NotApplicable(
            f"diffusers' UNet2DModel has no counterpart of the conditions {', '.join([*choices, *others])}"
        )
    with torch.no_grad():
        nothing = conditioner(None, 1)
        assert nothing.vector is not None  # no tokens, and maps beside vectors alone
        if not choices:
            return Table(nothing.vector)
        ((name, count),) = choices.items()
        each = conditioner({name: torch.arange(count, device=conditioner.device)}, count)
    assert each.vector is not None
    maps = None if each.spatial is None else torch.cat([each.spatial, torch.zeros_like(each.spatial[:1])])
    return Table(torch.cat([each.vector, nothing.vector]), maps)
