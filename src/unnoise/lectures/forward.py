"""The forward process on a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from unnoise.data import to_uint8
from unnoise.io.geometry import fit
from unnoise.io.picture_reader import read_picture
from unnoise.lectures.slide import COLOURS, Drawn, picture_axes, slide
from unnoise.process.gaussian import perturb
from unnoise.process.schedule import SCHEDULES, Schedule
from unnoise.registry import lookup
from unnoise.seeding import StepNoise

SIDE = 192
"""Pixels of the square that is cut out of the picture."""
CENTRES = (0.09, 0.2275, 0.365, 0.5025, 0.64, 0.7775, 0.915)
"""Of the pictures, as fractions of the slide's width: each stands above its t on the axis."""
WIDTH = 0.132
LOG_SNR_SHOWN = 8.0
"""On either side of 0: at t = 0 it is infinite."""


def forward(photo: str | Path, /, *, schedule: str = "linear-betas", seed: int = 0) -> Drawn:
    """x_t = alpha_t x_0 + sigma_t eps of a picture at equal strides of t, one eps for all, above the schedule.

    Args:
        photo: a picture file; the largest square in its middle is shown.
        schedule: a name in SCHEDULES.
        seed: of eps.

    Raises:
        UserError: for a file that is no picture and for an unknown schedule.
    """
    chosen = lookup(SCHEDULES, schedule, "schedule")()
    t = torch.linspace(0, chosen.t_max, len(CENTRES), dtype=torch.float64)
    figure = slide(rf"The forward process  $x_t = \alpha_t x_0 + \sigma_t \epsilon$  ({schedule})")
    figure.set_layout_engine("none")
    images = noised(chosen, _read(Path(photo)), t, seed)
    for centre, image, time in zip(CENTRES, images, t.tolist(), strict=True):
        axes = figure.add_axes((centre - WIDTH / 2, 0.58, WIDTH, 0.27))
        picture_axes(axes, image, f"t = {time:.3g}" if chosen.t_max <= 1 else f"t = {time:.0f}", fontsize=12)
    _curves(figure.add_axes((CENTRES[0], 0.1, CENTRES[-1] - CENTRES[0], 0.42)), chosen, t)
    return Drawn(figure, {"schedule": schedule, "t": t.tolist(), "log_snr": chosen.log_snr(t[1:]).tolist()})


def noised(schedule: Schedule, x_0: Tensor, t: Tensor, seed: int) -> np.ndarray:
    """x_t of one image (C, H, W) at every time (K,), one eps for all, uint8 (K, C, H, W).

    Where the variance explodes x_t is divided by sqrt(alpha^2 + sigma^2), so that it can be seen.
    """
    eps = StepNoise(seed).normal(x_0)
    copies = x_0.expand(len(t), *x_0.shape)
    size = (schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2).sqrt().float().view(-1, 1, 1, 1)
    return to_uint8(perturb(schedule, copies, eps.expand_as(copies), t) / size)


def _read(photo: Path) -> Tensor:
    """(3, SIDE, SIDE) in [-1, 1]."""
    pixels = np.asarray(fit(read_picture(photo, 3), SIDE, SIDE))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _curves(axes: Axes, schedule: Schedule, marked: Tensor) -> None:
    t = torch.linspace(0, schedule.t_max, 400, dtype=torch.float64)
    alpha, sigma, log_snr = schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)
    axes.plot(t, alpha, label=r"$\alpha_t$")
    axes.plot(t, sigma, label=r"$\sigma_t$")
    axes.set(xlabel="t", xlim=(0, schedule.t_max), xticks=marked.tolist())
    other = axes.twinx()
    other.plot(t, log_snr, color=COLOURS[2], linestyle="--", label="log-SNR")
    other.axhline(0, color=COLOURS[2], linewidth=0.6)
    other.set(ylabel=r"$\log(\alpha_t^2 / \sigma_t^2)$", ylim=(-LOG_SNR_SHOWN, LOG_SNR_SHOWN))
    other.grid(False)
    lines = [*axes.get_lines(), other.get_lines()[0]]
    axes.legend(
        lines, [str(line.get_label()) for line in lines], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3
    )
