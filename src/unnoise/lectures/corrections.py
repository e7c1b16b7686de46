"""Each step corrects small mistakes: a trajectory that is disturbed on its way, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from torch import Tensor

from unnoise.data import to_uint8
from unnoise.inverse.sdedit import Tail
from unnoise.lectures.mixtures import clear, draw_density, ring
from unnoise.lectures.slide import COLOURS, Drawn, picture_axes, slide
from unnoise.models import Diffusion
from unnoise.process.denoiser import Denoiser
from unnoise.process.schedule import Cosine
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, Sampler
from unnoise.seeding import generator

STEPS = 100
SAMPLERS: dict[str, Sampler] = {"ODE": DDIM(steps=STEPS), "SDE": DDIM(steps=STEPS, eta=1.0)}
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the steps that are done when x_t is disturbed."""
SIZE, PIXELS_SIZE = 0.3, 0.2
"""Of the disturbance: its length in the plane, and its root mean square per number of an image."""
POINTS, IMAGES = 600, 16
PATHS, PATH_AT = 6, 0.6
SHOWN, SHOWN_AT = 2, (0.3, 0.6, 0.8, 0.95)


class Twins(NamedTuple):
    """Where a trajectory ends, and where it ends after a disturbance, both (N, *)."""

    end: Tensor
    disturbed: Tensor

    def distances(self) -> Tensor:
        """(N,): root mean squares."""
        return (self.disturbed - self.end).square().flatten(1).mean(1).sqrt()


def corrections(run: str | Path | None = None, /, *, seed: int = 0, device: str | None = None) -> Drawn:
    """How far a disturbance of x_t moves the end of a trajectory, relative to itself, under the ODE and under the SDE.

    Both go on with the same noise from the disturbance on. Without a run the denoiser is the exact one of a mixture in
    the plane, and the log-density that is lost is shown as well.

    Args:
        run: the folder of an unconditional or conditional diffusion run.
        seed: of noise and disturbances.
        device: by default the best there is.

    Raises:
        UserError: for a run that is no diffusion model.
    """
    if run is None:
        return _in_the_plane(seed)
    model = Run.open(run).diffusion("unnoise show corrections", device)
    x_T = model.prior(range(seed, seed + IMAGES))
    denoiser = model.guided()
    figure = slide("A disturbed trajectory, and where it ends")
    left, right = figure.subfigures(1, 2, width_ratios=(1.4, 1), squeeze=False).flat
    _pictures(left, model, denoiser, x_T[:SHOWN], seed)
    axes = right.subplots()
    found = {}
    for name, sampler in SAMPLERS.items():
        ends = twins(denoiser, sampler, x_T, FRACTIONS, PIXELS_SIZE, seed)
        medians = [float(end.distances().median()) / PIXELS_SIZE for end in ends]
        found[name] = [round(value, 3) for value in medians]
        axes.plot(FRACTIONS, medians, marker="o", label=name)
    _axes_of_distances(axes)
    return Drawn(figure, {"steps": STEPS, "size": PIXELS_SIZE, "disturbed_at": list(FRACTIONS), "distance": found})


@torch.no_grad()
def twins(
    denoiser: Denoiser, sampler: Sampler, x_T: Tensor, fractions: Sequence[float], size: float, seed: int
) -> list[Twins]:
    """The ends of trajectories with and without a disturbance, which go on with the same noise.

    Args:
        denoiser, sampler, x_T: of the trajectories.
        fractions: of the steps that are done before the disturbance, in [0, 1), one item each.
        size: the root mean square of the disturbance, per number of x_t.
        seed: of its direction, which is uniform.
    """
    visited = [x_T, *(point.x for point in sampler.stream(denoiser, x_T))]
    found = []
    for at in fractions:
        start = round(at * sampler.steps)
        x = visited[start]
        both = torch.cat([x, x + size * direction(x, seed, start)])
        rest = Tail(sampler=sampler, start=start)
        found.append(Twins(*rest.run(denoiser, both, [*range(len(x))] * 2).chunk(2)))
    return found


def direction(x: Tensor, *keys: int) -> Tensor:
    """Like x (N, *): uniform directions, of root mean square 1."""
    drawn = torch.randn(x.shape, generator=generator(*keys), dtype=torch.float64).flatten(1)
    return (drawn / drawn.square().mean(1, keepdim=True).sqrt()).view_as(x).to(x)


def _in_the_plane(seed: int) -> Drawn:
    mixture = ring()
    denoiser = mixture.denoiser(Cosine())
    x_T = torch.randn(POINTS, 2, generator=generator(seed), dtype=torch.float64)
    figure = slide("Each step corrects small mistakes: trajectories that are disturbed on their way")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.7), squeeze=False).flat
    distance, loss = right.subplots(2, 1)
    found: dict[str, dict[str, list[float]]] = {}
    for axes, (name, sampler) in zip(left.subplots(2, 1), SAMPLERS.items(), strict=True):
        ends = twins(denoiser, sampler, x_T, FRACTIONS, SIZE, seed)
        medians = [float(end.distances().median()) / SIZE for end in ends]
        lost = [float((mixture.log_prob(end.end) - mixture.log_prob(end.disturbed)).mean()) for end in ends]
        found[name] = {"distance": [round(v, 4) for v in medians], "nats_lost": [round(v, 4) for v in lost]}
        distance.plot(FRACTIONS, medians, marker="o", label=name)
        loss.plot(FRACTIONS, lost, marker="o", label=name)
        _paths(axes, name, sampler, x_T[:PATHS], seed)
    _axes_of_distances(distance)
    loss.set(xlabel="fraction of steps done when disturbed", ylabel="log-density lost (nats)", xlim=(0, 1))
    return Drawn(figure, {"steps": STEPS, "size": SIZE, "disturbed_at": list(FRACTIONS), **found})


def _axes_of_distances(axes: Axes) -> None:
    axes.axhline(1, color="black", linewidth=1, linestyle=":")
    axes.text(0.02, 0.97, "nothing corrected", transform=axes.get_yaxis_transform(), va="top", fontsize=11)
    axes.set(
        xlabel="fraction of steps done when disturbed",
        ylabel="distance / disturbance",
        xlim=(0, 1),
    )
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")


def _paths(axes: Axes, name: str, sampler: Sampler, x_T: Tensor, seed: int) -> None:
    """Paths in the plane, and those that leave them at the disturbance."""
    mixture = ring()
    denoiser = mixture.denoiser(Cosine())
    draw_density(axes, mixture)
    start = round(PATH_AT * sampler.steps)
    whole = [x_T, *(point.x for point in sampler.stream(denoiser, x_T))]
    pushed = whole[start] + SIZE * direction(x_T, seed, 1)
    axes.plot(*torch.stack([whole[start], pushed]).permute(2, 0, 1), color="black", linewidth=0.8)
    rest = Tail(sampler=sampler, start=start)
    for origin, colour, width in ((whole[start], COLOURS[0], 1.6), (pushed, COLOURS[1], 1.2)):
        path = np.stack([origin.numpy(), *(point.x.numpy() for point in rest.stream(denoiser, origin))])
        axes.plot(path[:, :, 0], path[:, :, 1], color=colour, linewidth=width)
        axes.plot(*path[-1].T, ".", color=colour, markersize=7)
    clear(axes)
    axes.set_title(f"{name}: as it was (blue), disturbed (orange)", fontsize=12)


def _pictures(figure: SubFigure, model: Diffusion, denoiser: Denoiser, x_T: Tensor, seed: int) -> None:
    """Rows: two images by the ODE, two by the SDE; columns: undisturbed, and disturbed later and later."""
    panels = figure.subplots(SHOWN * len(SAMPLERS), 1 + len(SHOWN_AT))
    for block, (name, sampler) in enumerate(SAMPLERS.items()):
        ends = twins(denoiser, sampler, x_T, SHOWN_AT, PIXELS_SIZE, seed)
        columns = [sampler.run(denoiser, x_T), *(end.disturbed for end in ends)]
        titles = [f"{name}, as it was", *(f"at {at:.0%}" for at in SHOWN_AT)]
        _rows(panels[block * SHOWN : (block + 1) * SHOWN], model, columns, titles)


def _rows(panels: np.ndarray, model: Diffusion, columns: Sequence[Tensor], titles: Sequence[str]) -> None:
    for column, (x, title) in enumerate(zip(columns, titles, strict=True)):
        for row, image in enumerate(to_uint8(model.decode_point(x))):
            picture_axes(panels[row, column], image, title if row == 0 else "", fontsize=11)
