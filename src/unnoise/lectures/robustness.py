"""What few, noisy, wrongly labelled and unevenly distributed images do to each family."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from unnoise.aliases import Record
from unnoise.data import Images, image_grid
from unnoise.lectures.cells import Cells
from unnoise.lectures.slide import Drawn, picture_axes, slide
from unnoise.lectures.spoiled import NOISE, QUALITY, RARER, SPOILED, WRONG, few, wrong_labels
from unnoise.lectures.trained import (
    CONDITIONAL,
    FAMILIES,
    Budget,
    classes_of,
    drawn_by,
    measured,
    open_labelled,
    train_family,
)
from unnoise.training.copy_watch import WATCHED, CopyWatch

FEW = (100, 1000, 10_000)
SHOWN = 16
ALL = "all"
"""The column whose trainings have the minutes; the others have as many steps as they made."""
RIGHT, WRONG_NAME = "right labels", "wrong labels"


def robustness(
    source: str | Path = "digits",
    /,
    *,
    folder: Path,
    minutes: float = 1.0,
    steps: int | None = None,
    n: int = 1000,
    seed: int = 0,
    device: str | None = None,
) -> Drawn:
    """A GAN, a VAE and diffusion trained on few, noisy, compressed and imbalanced images, and diffusion by class on
    wrong labels: samples, and their Frechet distance to the clean images, the classes among them and the copies.

    Args:
        source: labelled images.
        folder: where trainings and results are kept; a second call goes on cell by cell.
        minutes: of every training.
        steps: instead of minutes.
        n: samples of every cell.
        seed: of everything.
        device: by default the best there is.

    Raises:
        UserError: for a source without labels, and for a folder with results of other settings.
    """
    budget = Budget(minutes, steps, n, seed, device)
    cells = Cells(folder, budget.record(source))
    clean = open_labelled(source, "unnoise show robustness")
    columns = variants(clean)
    figure = slide(f"Few, noisy and uneven images: trained for {budget.words()} each")
    panels = figure.subplots(1 + len(FAMILIES), len(columns) + 1)
    found: dict[str, dict[str, Record]] = {name: {} for name in columns}
    for column, (name, spoil) in enumerate(columns.items()):
        images = spoil(clean, seed)
        _sheet(panels[0, column], images.pixels[:SHOWN], f"{name}\n{len(images):,} images")
        for row, family in enumerate(FAMILIES, 1):
            given = budget if name == ALL else budget._replace(steps=found[ALL][family]["steps"])
            cell = partial(_cell, cells, family=family, images=images, source=source, budget=given)
            found[name][family] = cells.once(f"{name} {family}", cell)
            _sheet(panels[row, column], cells.kept(f"{name} {family}"), caption(found[name][family]))
    found[WRONG_NAME] = _labels(panels[:, -1], cells, clean, source, budget)
    for row, name in enumerate(("data", *FAMILIES)):
        panels[row, 0].text(-0.12, 0.5, name, transform=panels[row, 0].transAxes, rotation=90, va="center", ha="right")
    settings = {"noise": NOISE, "jpeg_quality": QUALITY, "wrong": WRONG, "each_class_relative_to_the_last": RARER}
    return Drawn(figure, {"minutes": minutes, "n": n, "settings": settings, "cells": found})


def variants(images: Images) -> dict[str, Callable[[Images, int], Images]]:
    """Column -> what is made of the clean images."""
    counts = {f"few: {count:,}": partial(_few, count=count) for count in FEW if count < len(images)}
    return {ALL: lambda images, seed: images, **counts, **SPOILED}


def caption(result: Record) -> str:
    """A result in two lines."""
    copied = "" if result["copies"] is None else f", {result['copies']:.0%} copies"
    return f"FD {result['fd']:.3g}\n{result['classes']} classes{copied}"


def _few(images: Images, seed: int, count: int) -> Images:
    return few(images, count, seed)


def _cell(cells: Cells, folder: Path, family: str, images: Images, source: str | Path, budget: Budget) -> Record:
    """One training, measured against the clean images."""
    run = train_family(family, images, folder / "run", budget)
    drawn = drawn_by(run.load(budget.device), budget.n, budget.seed)
    cells.keep(folder, drawn[:SHOWN])
    copied = _copied(images, torch.from_numpy(drawn) / 127.5 - 1)
    return {**measured(drawn, source, budget.device), "copies": copied, "steps": run.weights()["step"]}


def _copied(images: Images, drawn: torch.Tensor) -> float | None:
    """The share of copies; None for a set too large to be learned by heart."""
    if len(images) > WATCHED:
        return None
    return float(CopyWatch(images, mirrored=False).look(drawn).copies().double().mean())


def _labels(panels: np.ndarray, cells: Cells, clean: Images, source: str | Path, budget: Budget) -> dict[str, Record]:
    """The column of wrong labels."""
    wrong = wrong_labels(clean, budget.seed)
    _sheet(panels[0], wrong.pixels[:SHOWN], f"{WRONG:.0%} wrong labels\n{len(wrong):,} images")
    for axes in panels[1:-1]:
        axes.set_axis_off()
        axes.text(
            0.5, 0.5, "reads no labels:\nas with all", ha="center", va="center", fontsize=11, transform=axes.transAxes
        )
    found: dict[str, Record] = {}
    for name, images in ((RIGHT, clean), (WRONG_NAME, wrong)):
        given = budget if name == RIGHT else budget._replace(steps=found[RIGHT]["steps"])
        found[name] = cells.once(name, partial(_labelled_cell, cells, images=images, source=source, budget=given))
    right, less = (found[name]["label_accuracy"] for name in (RIGHT, WRONG_NAME))
    _sheet(panels[-1], cells.kept(WRONG_NAME), f"by class: {less:.0%} as asked\n({right:.0%} with right labels)")
    return found


def _labelled_cell(cells: Cells, folder: Path, images: Images, source: str | Path, budget: Budget) -> Record:
    """The fraction of the samples in which a classifier of the clean images sees the class that was asked for."""
    run = train_family(CONDITIONAL, images, folder / "run", budget)
    model = run.load(budget.device)
    asked = torch.arange(budget.n) % len(images.classes)
    drawn = drawn_by(model, budget.n, budget.seed, cond={"label": asked.to(model.device)})
    cells.keep(folder, drawn[:SHOWN])
    right = classes_of(drawn, source, budget.device) == asked
    values = {"label_accuracy": float(right.double().mean()), "steps": run.weights()["step"]}
    return {**values, **measured(drawn, source, budget.device)}


def _sheet(axes: Axes, images: np.ndarray, title: str) -> None:
    sheet = np.atleast_3d(np.asarray(image_grid(images, columns=4, scale=1, padding=1)))
    picture_axes(axes, sheet.transpose(2, 0, 1), title, fontsize=10)
