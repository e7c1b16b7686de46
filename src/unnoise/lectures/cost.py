"""What quality costs each family: in training, and in network calls of sampling."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from unnoise.aliases import Record
from unnoise.data import Images
from unnoise.lectures.cells import Cells
from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.lectures.trained import FAMILIES, Budget, drawn_by, measured, open_labelled, train_family
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, Ancestral, Sampler, UniPC

PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the budget, at which quality is measured."""
CALLS: dict[str, list[Sampler]] = {
    "DDPM": [Ancestral(steps=steps) for steps in (5, 10, 20, 50, 100)],
    "DDIM": [DDIM(steps=steps) for steps in (2, 5, 10, 20, 50, 100)],
    "UniPC": [UniPC(steps=steps) for steps in (2, 5, 10, 20)],
}
DIFFUSION = "diffusion"


def cost(
    source: str | Path = "digits",
    /,
    *,
    folder: Path,
    minutes: float = 4.0,
    steps: int | None = None,
    n: int = 1000,
    seed: int = 0,
    device: str | None = None,
) -> Drawn:
    """The Frechet distance of a GAN, a VAE and diffusion as training goes on, and at its end over the network calls of
    three samplers; how long each trains to the quality that all reach.

    Args:
        source: labelled images.
        folder: where trainings and results are kept; a second call goes on.
        minutes: of every training.
        steps: instead of minutes.
        n: samples of every measurement.
        seed: of everything.
        device: by default the best there is.

    Raises:
        UserError: for a source without labels, and for a folder with results of other settings.
    """
    budget = Budget(minutes, steps, n, seed, device)
    cells = Cells(folder, budget.record(source))
    images = open_labelled(source, "unnoise show cost")
    figure = slide(f"What quality costs: training up to {budget.words()}, then {n:,} samples")
    training, sampling = figure.subplots(1, 2)
    curves: dict[str, list[Record]] = {}
    for colour, family in zip(COLOURS, FAMILIES, strict=False):
        curves[family] = _training(cells, family, images, source, budget)
        _curve(training, [(point["seconds"], point["fd"]) for point in curves[family]], family, colour)
    for colour, family in zip(COLOURS, FAMILIES, strict=False):
        if family != DIFFUSION:
            sampling.axhline(curves[family][-1]["fd"], color=colour, linestyle="--", linewidth=1.3)
            sampling.plot(1, curves[family][-1]["fd"], "*", color=colour, markersize=16, label=f"{family}, 1 call")
    calls = {name: [_drawn(cells, source, budget, sampler) for sampler in CALLS[name]] for name in CALLS}
    for colour, (name, points) in zip(COLOURS[2:], calls.items(), strict=False):
        _curve(sampling, [(point["calls"], point["fd"]) for point in points], f"{DIFFUSION}, {name}", colour)
    reached = max(min(point["fd"] for point in points) for points in curves.values())
    equal = {family: seconds_to(reached, points) for family, points in curves.items()}
    training.axhline(reached, color="black", linewidth=1, linestyle=":")
    training.set(xlabel="processor seconds of training", ylabel="Frechet distance")
    sampling.set(xlabel="network calls per image", ylabel="Frechet distance after all of the training")
    training.legend()
    sampling.legend(fontsize=10)
    return Drawn(figure, {"n": n, "training": curves, "calls": calls, "equal_fd": reached, "seconds_to_it": equal})


def seconds_to(distance: float, points: Sequence[Record]) -> float:
    """When a training first reaches this distance, on straight lines between its points in logarithms."""
    before = points[0]
    for point in points:
        if point["fd"] <= distance:
            if point is before or before["fd"] == point["fd"]:
                return point["seconds"]
            part = math.log(before["fd"] / distance) / math.log(before["fd"] / point["fd"])
            return before["seconds"] * (point["seconds"] / before["seconds"]) ** part
        before = point
    return math.inf


def _training(cells: Cells, family: str, images: Images, source: str | Path, budget: Budget) -> list[Record]:
    """Quality after each part of the budget; the run goes on from part to part.

    Seconds are the processor's: what else the machine does meanwhile does not count.
    """
    points: list[Record] = []
    for part in PARTS:
        steps = None if budget.steps is None else max(1, round(budget.steps * part))
        given = budget._replace(minutes=budget.minutes * part, steps=steps)
        before = points[-1]["seconds"] if points else 0.0
        cell = partial(_part, cells=cells, family=family, images=images, source=source, budget=given, before=before)
        points.append(cells.once(f"{family} {part:g}", cell))
    return points


def _part(
    folder: Path, cells: Cells, family: str, images: Images, source: str | Path, budget: Budget, before: float
) -> Record:
    begun = time.process_time()
    run = train_family(family, images, cells.place(family) / "run", budget)
    seconds = before + time.process_time() - begun
    drawn = drawn_by(run.load(budget.device), budget.n, budget.seed)
    return {"seconds": seconds, "steps": run.weights()["step"], **measured(drawn, source, budget.device)}


def _drawn(cells: Cells, source: str | Path, budget: Budget, sampler: Sampler) -> Record:
    """Diffusion at the end of its training, by this sampler."""
    name = f"{type(sampler).__name__} {sampler.steps}"
    return cells.once(name, partial(_sampled, cells=cells, source=source, budget=budget, sampler=sampler))


def _sampled(folder: Path, cells: Cells, source: str | Path, budget: Budget, sampler: Sampler) -> Record:
    model = Run.open(cells.place(DIFFUSION) / "run").load(budget.device)
    begun = time.process_time()
    drawn = drawn_by(model, budget.n, budget.seed, sampler)
    seconds = (time.process_time() - begun) / budget.n
    return {"calls": sampler.steps, "seconds_per_image": seconds, **measured(drawn, source, budget.device)}


def _curve(axes: Axes, points: Sequence[tuple[float, float]], name: str, colour: str) -> None:
    axes.loglog(*np.array(points).T, marker="o", label=name, color=colour)
