"""The error of the image in range, which is what sampling uses."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.models.diffusion import Diffusion
from unnoise.process.gaussian import per_row

BEYOND = 0.01
"""How much it counts, of an error, that an answer lies beyond the range. With 0 nothing would bring it back."""


def squared_errors_in_range(model: Diffusion, output: Tensor, target: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """||target - answer||^2 + BEYOND ||network - answer||^2 of each number, (B, C, H, W): the answer is that of the
    image that sampling uses, `clipped_answer`.

    Where images are at the end of the range this is the loss of an expectile (Newey & Powell 1987), 1 within it to
    BEYOND beyond it: the network's own noise ends up beyond, and none of it is seen.
    """
    answer = clipped_answer(model, output, x_t, t)
    return (answer - target).square() + BEYOND * (output - answer.detach()).square()


def clipped_answer(model: Diffusion, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The answer (B, C, H, W) to x_t at times t (B,) whose x_0 is that of the network's answer, in range.

    Its derivative is that of the network's answer (straight through: Bengio et al. 2013), so one that lies out of range
    hears of its error.
    """
    if not model.clip:
        return output
    with torch.no_grad():
        x_0 = model.parametrization.invert(model.schedule, output, x_t, t).x_0
        slope = model.parametrization.at_rows(model.schedule, t).x_0_of_output
        beyond = (x_0 - model.in_range(x_0)) / per_row(slope, x_0)
    return output + beyond
