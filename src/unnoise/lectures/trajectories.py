"""From one noise to an image, in few steps and in many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from torch import Tensor

from unnoise.data import to_uint8
from unnoise.lectures.mixtures import clear, draw_density, ring
from unnoise.lectures.slide import COLOURS, Drawn, picture_axes, slide
from unnoise.models import Diffusion
from unnoise.process.schedule import Cosine
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, Sampler

STEPS = (1, 2, 5, 10, 20, 50, 100)
IMAGES = 5
IN_PLANE = {
    "ODE, 5 steps": DDIM(steps=5),
    "ODE, 100 steps": DDIM(steps=100),
    "SDE, 100 steps": DDIM(steps=100, eta=1.0),
}
STARTS, PATHS = 40, 5


def trajectories(run: str | Path, /, *, seed: int = 0, device: str | None = None) -> Drawn:
    """The same x_T of a run at several numbers of DDIM steps, and paths through a mixture in the plane.

    Args:
        run: the folder of a diffusion run.
        seed: image i starts from noise SEED + i.
        device: cpu, cuda, mps; by default the best there is.

    Raises:
        UserError: for a run that is no diffusion model.
    """
    model = Run.open(run).diffusion("unnoise show trajectories", device)
    native = model.schedule.grid
    steps = [count for count in STEPS if native is None or count <= len(native)]
    images = [at_steps(model, range(seed, seed + IMAGES), count) for count in steps]
    figure = slide(r"The same $x_T$ in more and more steps of the probability-flow ODE")
    left, right = figure.subfigures(1, 2, width_ratios=(2.1, 1), squeeze=False).flat
    _grid(left, images, steps)
    for axes, (name, sampler) in zip(right.subplots(len(IN_PLANE), 1), IN_PLANE.items(), strict=True):
        _paths(axes, sampler, seed)
        axes.set_title(name, fontsize=12)
    away = [float((image - images[-1]).square().mean().sqrt()) for image in images]
    return Drawn(figure, {"steps": steps, "rms_from_the_last": [round(value, 4) for value in away]})


def at_steps(model: Diffusion, seeds: Sequence[int], steps: int) -> Tensor:
    """The images of these seeds by DDIM with so many steps."""
    return model.sample(seeds, sampler=DDIM(steps=steps)).cpu()


def _grid(figure: SubFigure, images: Sequence[Tensor], steps: Sequence[int]) -> None:
    columns = figure.subplots(IMAGES, len(steps))
    for column, (drawn, count) in enumerate(zip(images, steps, strict=True)):
        for row, image in enumerate(to_uint8(drawn)):
            picture_axes(columns[row, column], image, _name(count) if row == 0 else "")


def _name(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps}"


def _paths(axes: Axes, sampler: Sampler, seed: int) -> None:
    mixture, schedule = ring(), Cosine()
    draw_density(axes, mixture)
    x_T = torch.randn(STARTS, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    stream = sampler.stream(mixture.denoiser(schedule), x_T)
    paths = np.stack([x_T.numpy(), *(point.x.numpy() for point in stream)])
    axes.plot(paths[:, :PATHS, 0], paths[:, :PATHS, 1], linewidth=1.0)
    axes.plot(*paths[0].T, ".", color=COLOURS[7], markersize=2)
    axes.plot(*paths[-1].T, ".", color="black", markersize=4)
    clear(axes)
