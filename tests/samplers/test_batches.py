"""An image depends on its seed alone: 50 in one call, in calls of 7 and one by one are the same images.

Not to the bit, because a matrix product of other shapes sums in another order. In single precision the difference was
measured at 5e-7 of the largest value, and 1e-5 of it is allowed.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.samplers import DDIM, Ancestral, Heun, Langevin, Sampler, SDEDPMSolver, UniPC
from unnoise.sampling.batches import sample_in_batches

TOLERANCE = 1e-5
COUNT = 50
SAMPLERS: list[Sampler] = [
    DDIM(steps=5),
    UniPC(steps=5),
    DDIM(steps=5, eta=1.0),
    Heun(steps=4, churn=2.0),
    Ancestral(steps=8),
    SDEDPMSolver(steps=5),
    Langevin(steps=4),
]


def untrained(clip: bool) -> Diffusion:
    torch.manual_seed(0)
    spec = {"network": {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}, "clip": clip}
    model = build_model(spec, (1, 8, 8), classes=0)
    assert isinstance(model, Diffusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return model.eval()


def in_calls_of(rows: int, model: Diffusion, sampler: Sampler) -> Tensor:
    """x_0 as it leaves the sampler, which nothing has clamped."""
    calls = [range(start, min(start + rows, COUNT)) for start in range(0, COUNT, rows)]
    return torch.cat([sampler.run(model.guided(), model.prior(seeds), seeds) for seeds in calls])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_one_call_calls_of_seven_and_single_ones(sampler: Sampler) -> None:
    model = untrained(clip=False)
    together = in_calls_of(COUNT, model, sampler)
    assert together.std(0).min() > 0  # 50 different images
    allowed = TOLERANCE * float(together.abs().max())
    for rows in (7, 1):
        torch.testing.assert_close(in_calls_of(rows, model, sampler), together, rtol=0, atol=allowed)


@pytest.mark.parametrize("compile", ["auto", "on"])
@pytest.mark.parametrize("sampler", [UniPC(steps=5), Ancestral(steps=8)], ids=repr)
def test_drawn_files_do_not_depend_on_the_batch_size(
    sampler: Sampler, compile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a level apart, where the difference falls on a rounding edge; the last batch of 'on' has padded rows."""
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: forward)
    model = untrained(clip=True)
    by_size = [
        sample_in_batches(model, range(COUNT), None, sampler, None, size, "fp32", compile) for size in (None, 50, 7, 1)
    ]
    for images in by_size[1:]:
        assert np.abs(images.astype(int) - by_size[0].astype(int)).max() <= 1
        assert (images != by_size[0]).mean() < 1e-3
