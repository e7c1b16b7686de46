"""The mathematics that the page Learn shows, computed by the functions of the package."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.data.batch import from_uint8
from unnoise.io.picture_reader import read_picture
from unnoise.process.analytic import GaussianMixture
from unnoise.process.schedule import SCHEDULES, Schedule
from unnoise.registry import build
from unnoise.samplers import SAMPLERS
from unnoise.seeding import SeededNoise
from unnoise.studio.tasks.pictures import tiles
from unnoise.studio.worker import Emit

CURVE = 101
"""Points of a schedule's curves."""
TIMES = 33
"""Times at which the picture is shown."""
FIELD = 21
"""Arrows along each side of the plane."""
MIXTURES: dict[str, list[tuple[float, float, float]]] = {
    "two": [(0.5, -1.2, 0.0), (0.5, 1.2, 0.0)],
    "three": [(0.5, -1.3, -0.8), (0.3, 1.3, -0.8), (0.2, 0.0, 1.3)],
    "ring": [(1 / 8, 1.5 * math.cos(k * math.pi / 4), 1.5 * math.sin(k * math.pi / 4)) for k in range(8)],
}
"""Weight and mean of each component."""
STD = 0.2


def forward(request: Record, emit: Emit) -> Record:
    """x_t = alpha_t x_0 + sigma_t eps at equal distances of t with one eps, for each schedule, with its curves."""
    pixels = np.asarray(read_picture(Path(request["picture"]), 3)).transpose(2, 0, 1)
    x_0 = from_uint8(torch.from_numpy(pixels.copy()))[None]
    eps = SeededNoise([request["seed"]]).normal(x_0)
    shown = []
    for spec in request["schedules"]:
        schedule = build(SCHEDULES, spec, "schedule")
        times = torch.linspace(0, schedule.t_max, TIMES, dtype=torch.float64)
        noisy = [_normalised(schedule, x_0, eps, t) for t in times]
        shown.append({"spec": spec, "tiles": [tiles(x) for x in noisy], "times": times.tolist(), **_curves(schedule)})
    return {"schedules": shown}


def flow(request: Record, emit: Emit) -> Record:
    """Samples that a sampler carries from noise to a mixture with its exact score, and that score as arrows."""
    schedule = build(SCHEDULES, request["schedule"], "schedule")
    sampler = build(SAMPLERS, request["sampler"], "sampler")
    components = torch.tensor(MIXTURES[request["mixture"]], dtype=torch.float64)
    mixture = GaussianMixture(components[:, 0], components[:, 1:], STD)
    denoiser = mixture.denoiser(schedule)
    x = schedule.prior_std * SeededNoise(range(request["number"])).normal(torch.empty(request["number"], 2).double())
    grid = torch.linspace(-1, 1, FIELD, dtype=torch.float64)
    steps = [_moment(schedule, denoiser, schedule.t_max, x, grid)]
    steps += [_moment(schedule, denoiser, point.t, point.x, grid) for point in sampler.stream(denoiser, x)]
    return {"steps": steps, "data": mixture.sample(400, request["seed"]).tolist(), "field": FIELD}


def _moment(schedule: Schedule, denoiser: Any, t: float, x: Tensor, grid: Tensor) -> Record:
    """Where the samples are at time t, and the score around them; scale: the half width of the picture."""
    total = math.sqrt(float(schedule.alpha(t)) ** 2 * 2.2 + float(schedule.sigma(t)) ** 2)
    scale = max(2.3 * float(schedule.alpha(t)), 2.4 * total) if t > 0 else 2.4
    across = torch.cartesian_prod(grid, grid) * scale
    at = max(t, 1e-3 * schedule.t_max)
    at = float(schedule.grid[0]) if schedule.grid is not None and t < 1 else at
    score = denoiser(across, torch.tensor(at, dtype=torch.float64)).score
    return {
        "t": float(t),
        "alpha": float(schedule.alpha(t)),
        "sigma": float(schedule.sigma(t)),
        "scale": scale,
        "x": x.tolist(),
        "score": score.tolist(),
    }


def _normalised(schedule: Schedule, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """x_t over sqrt(alpha^2 + sigma^2): as bright where the variance explodes."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    return (alpha * x_0 + sigma * eps) / max(1.0, math.hypot(alpha, sigma))


def _curves(schedule: Schedule) -> dict[str, list[float]]:
    times = torch.linspace(0, 1, CURVE, dtype=torch.float64) * schedule.t_max
    inner = times.clamp(1e-4 * schedule.t_max, (1 - 1e-4) * schedule.t_max)
    return {
        "t": (times / schedule.t_max).tolist(),
        "alpha": schedule.alpha(times).tolist(),
        "sigma": schedule.sigma(times).tolist(),
        "log_snr": schedule.log_snr(inner).clamp(-20, 20).tolist(),
    }
