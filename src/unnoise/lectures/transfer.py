"""Learning to draw new images from what another run has learned, and from scratch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unnoise.aliases import Record
from unnoise.data import image_grid
from unnoise.files import write_atomic
from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.models.image_model import CanDenoise, CanSample, require
from unnoise.runs.config import to_toml
from unnoise.runs.metrics_file import read_metrics
from unnoise.runs.run import Run
from unnoise.training.train import train
from unnoise.training.transfer import recipe_of

MINUTES = 4.0
POINTS = 8
"""Points of each curve: a validation at every checkpoint."""
DRAWN = 16
STARTS = ("transfer", "scratch")


def transfer(
    run: str | Path,
    source: str,
    /,
    *,
    folder: Path,
    minutes: float = MINUTES,
    seed: int = 0,
    device: str | None = None,
) -> Drawn:
    """The validation loss on a source over the steps of two trainings, one that begins with the weights of a run, one
    from scratch, and samples of both at the end.

    Args:
        run: the folder of a diffusion run.
        source: other images, see `unnoise.open_source`; they are read in the run's size and colours.
        folder: where the two runs are kept; a second call goes on.
        minutes: of each training.
        seed: of both.
        device: cpu, cuda, mps; by default the best there is.

    Raises:
        UserError: for a run that is no diffusion model.
    """
    base = Run.open(run)
    require(base.model(), CanDenoise, "unnoise show transfer")
    recipe = folder / "recipe.toml"
    write_atomic(recipe, to_toml(_recipe(base, minutes)))
    runs = {
        name: train(
            source,
            str(recipe),
            folder / name,
            minutes=minutes,
            seed=seed,
            start=base if name == "transfer" else None,
            device=device,
        )
        for name in STARTS
    }
    figure = slide(
        f"Training on {source}: from {base.folder.resolve().name}, and from scratch, {minutes:g} minutes each"
    )
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1), squeeze=False).flat
    axes = left.subplots()
    curves = {name: validations(runs[name]) for name in STARTS}
    for name, colour in zip(STARTS, COLOURS, strict=False):
        axes.plot(*np.array(curves[name]).T, "o-", color=colour, label=name)
    axes.set(xlabel="steps", ylabel="validation loss", yscale="log")
    axes.legend()
    for panel, name in zip(right.subplots(2, 1), STARTS, strict=True):
        model = require(runs[name].load(device), CanSample, "unnoise show transfer")
        panel.imshow(np.asarray(image_grid(model.sample(range(DRAWN)).cpu(), columns=4)), cmap="gray")
        panel.set_axis_off()
        panel.set_title(name)
    return Drawn(figure, _numbers(base, source, minutes, curves))


def validations(run: Run) -> list[tuple[int, float]]:
    """(step, validation loss) of a run, in order."""
    lines = [line for line in read_metrics(run.folder) if line.get("validation_loss") is not None]
    return [(line["step"], line["validation_loss"]) for line in lines]


def _recipe(base: Run, minutes: float) -> Record:
    """The run's own, for images of its shape, with as many checkpoints as the curve has points."""
    channels, height, width = base.shape
    recipe = recipe_of(base)
    data = {**recipe["data"], "size": [height, width], "channels": channels}
    settings = {**recipe["train"], "steps": 10**6, "save_every": minutes / POINTS, "samples": 0}
    return {**recipe, "data": data, "train": settings}


def _numbers(base: Run, source: str, minutes: float, curves: dict[str, list[tuple[int, float]]]) -> Record:
    return {
        "run": str(base.folder),
        "source": source,
        "minutes": minutes,
        "steps": {name: [step for step, _ in curve] for name, curve in curves.items()},
        "validation_loss": {name: [loss for _, loss in curve] for name, curve in curves.items()},
    }
