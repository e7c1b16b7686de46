from __future__ import annotations

import torch
from torch import nn

from unnoise.training.ema import EMA


def test_average_of_constant_steps_has_its_closed_form() -> None:
    """Weights that jump from 0 to 1: after n updates of decays d_i the average is 1 - prod d_i."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    ema = EMA(model, 0.9)
    nn.init.ones_(model.weight)
    remainder = 1.0
    for step in range(1, 101):
        ema.update(step)
        remainder *= min(0.9, (1 + step) / (10 + step))
    torch.testing.assert_close(ema.state_dict()["weight"].item(), 1 - remainder)


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
