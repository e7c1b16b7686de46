from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

import unnoise
from unnoise.training.ema import EMA


def test_average_of_constant_steps_has_its_closed_form() -> None:
    """Weights that jump from 0 to 1: the average is 1 - prod d_i with decays d = 2/11, 3/12, 4/13, ..., 0.9."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    ema = EMA(model, 0.9)
    nn.init.ones_(model.weight)
    averages = []
    for step in range(1, 101):
        ema.update(step)
        averages.append(ema.state_dict()["weight"].item())
    assert averages[:3] == pytest.approx([1 - 2 / 11, 1 - 2 / 11 * 3 / 12, 1 - 2 / 11 * 3 / 12 * 4 / 13], rel=1e-9)
    assert 1 - averages[-1] == pytest.approx((1 - averages[-2]) * 0.9, rel=1e-6)


def test_training_averages_from_its_first_step_on(tmp_path: Path) -> None:
    """The second checkpoint's average is 3/12 of the first one's and 9/12 of the second weights."""
    small = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}
    small |= {"train.batch_size": 4, "train.samples": 0, "data.limit": 32}
    weights = []
    for steps in (1, 2):
        unnoise.train("digits", recipe="ddpm-digits", out=tmp_path / "run", steps=steps, overrides=small)
        folder = max((tmp_path / "run" / "checkpoints").iterdir(), key=lambda path: int(path.name))
        assert int(folder.name) == steps
        weights.append([load_file(folder / f"{name}.safetensors") for name in ("model", "ema")])
    (_, before), (live, after) = weights
    for name, average in after.items():
        expected = 3 / 12 * before[name].astype(np.float64) + 9 / 12 * live[name].astype(np.float64)
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)


def test_applied_swaps_and_gives_back_the_same_bits() -> None:
    model = nn.Linear(3, 3)
    ema = EMA(model, 0.5)
    before = model.weight.detach().clone()
    nn.init.normal_(model.weight)
    live = model.weight.detach().clone()
    with ema.applied():
        assert torch.equal(model.weight, before)
    assert torch.equal(model.weight, live)
    assert torch.equal(ema.state_dict()["weight"], before)


def test_state_round_trip_leaves_the_live_weights_alone() -> None:
    model, other = nn.Linear(3, 3), nn.Linear(3, 3)
    ema, copy = EMA(model, 0.5), EMA(other, 0.5)
    live = other.weight.detach().clone()
    nn.init.normal_(model.weight)
    ema.update(1)
    copy.load_state_dict(ema.state_dict())
    assert torch.equal(copy.state_dict()["weight"], ema.state_dict()["weight"])
    assert torch.equal(other.weight, live)
