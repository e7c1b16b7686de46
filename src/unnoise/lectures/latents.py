"""The plane of a two-dimensional latent: where classes lie, and what is decoded there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import SubFigure
from torch import Tensor

from unnoise.data import Images, image_grid, to_uint8
from unnoise.errors import NotApplicable
from unnoise.lectures.slide import Drawn, picture_axes, slide
from unnoise.models import Autoencoder
from unnoise.models.vae import VAE
from unnoise.runs.run import Run
from unnoise.seeding import StepNoise

POINTS = 1500
GRID = 15
DRAWN = 4
"""Images whose mean stands beside draws of p(x | z)."""


def latents(run: str | Path, beside: str | Path | None = None, /, *, seed: int = 0, device: str | None = None) -> Drawn:
    """The plane of a run with two latents: points by class, the decoded grid, a VAE's x ~ p(x | z) beside its mean.

    An autoencoder's plane has holes, in which nothing that was decoded in training lies; a VAE's prior fills them.

    Args:
        run: an autoencoder or a VAE with model.latent=2.
        beside: another one, drawn below, such as an autoencoder of the same images.
        seed: of the draws.
        device: cpu, cuda, mps; by default the best there is.

    Raises:
        NotApplicable: for a run whose latent is not two numbers.
    """
    runs = [Run.open(folder) for folder in (run, beside) if folder is not None]
    models = [_planar(opened, device) for opened in runs]
    figure = slide("What lies where in a plane of latents")
    rows = figure.subfigures(len(models), 1, squeeze=False).flat
    holes = {}
    for row, opened, model in zip(rows, runs, models, strict=True):
        images, _ = opened.open_data("test", limit=POINTS)
        at = encoded(model, images)
        _draw(row, opened, model, images, at, seed)
        holes[str(opened.folder)] = round(empty_fraction(at), 3)
    return Drawn(figure, {"empty_fraction": holes})


def empty_fraction(at: Tensor, cells: int = GRID) -> float:
    """Of the cells of a lattice over the middle nine tenths of the points (N, 2) in either direction, the fraction that
    holds none: the holes."""
    low, high = at.quantile(0.05, dim=0), at.quantile(0.95, dim=0)
    cell = ((at - low) / (high - low) * cells).floor().long()
    inside = cell[((cell >= 0) & (cell < cells)).all(1)]
    return 1 - len(inside.unique(dim=0)) / cells**2


@torch.no_grad()
def encoded(model: Autoencoder | VAE, images: Images) -> Tensor:
    """The latents (N, 2) of images, on the CPU."""
    return model.encode(images.batch(range(len(images)), model.device).image).cpu()


@torch.no_grad()
def decoded_grid(model: Autoencoder | VAE, at: Tensor, count: int = GRID) -> np.ndarray:
    """One picture (C, H, W) uint8 of what is decoded on a lattice over the points' range, the upper row first.

    Of a VAE the lattice has equal masses of the prior between its points.
    """
    fractions = torch.linspace(0.03, 0.97, count)
    if isinstance(model, VAE):
        axes = [torch.special.ndtri(fractions)] * 2
    else:
        low, high = at.min(0).values, at.max(0).values
        axes = [low[i] + fractions * (high[i] - low[i]) for i in range(2)]
    y, x = torch.meshgrid(axes[1].flip(0), axes[0], indexing="ij")
    z = torch.stack([x.flatten(), y.flatten()], 1).to(model.device)
    sheet = np.atleast_3d(np.asarray(image_grid(to_uint8(model.decode(z)), columns=count, scale=1, padding=0)))
    return sheet.transpose(2, 0, 1)


def _planar(run: Run, device: str | None) -> Autoencoder | VAE:
    model = run.load(device)
    if not isinstance(model, Autoencoder | VAE) or model.latent_shape != (2,):
        raise NotApplicable(
            f"unnoise show latents draws planes, and {run.folder} has none; train one with "
            "--recipe vae --set model.latent=2, or --recipe autoencoder --set model.latent=2"
        )
    return model


def _draw(figure: SubFigure, run: Run, model: Autoencoder | VAE, images: Images, at: Tensor, seed: int) -> None:
    points, grid, *drawn = figure.subplots(1, 3 if isinstance(model, VAE) else 2)
    points.scatter(*at.T, c=images.labels, cmap="tab10", s=6)
    points.set(aspect="equal", title=f"{run.folder.name}: points by class" if images.classes else run.folder.name)
    picture_axes(grid, decoded_grid(model, at), "the decoded plane")
    if isinstance(model, VAE):
        picture_axes(drawn[0], _means_and_draws(model, seed), r"mean of $p(x|z)$ | three draws")


@torch.no_grad()
def _means_and_draws(model: VAE, seed: int) -> np.ndarray:
    """Rows: for each z its mean, then three draws."""
    z = model.prior(range(seed, seed + DRAWN))
    columns = [model.decode(z), *(model.draw(z, StepNoise(seed, draw)) for draw in range(3))]
    pictures = torch.stack(columns, 1).flatten(0, 1)
    sheet = np.atleast_3d(np.asarray(image_grid(to_uint8(pictures), columns=4, scale=1, padding=1)))
    return sheet.transpose(2, 0, 1)
