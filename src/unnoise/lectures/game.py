"""How the two players of a GAN's run stood, from its metrics.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from unnoise.aliases import Record
from unnoise.errors import NotApplicable
from unnoise.lectures.slide import Drawn, slide
from unnoise.runs.metrics_file import Line, read_metrics
from unnoise.runs.run import Run

PANELS = {
    "losses": {"loss": "generator", "discriminator": "discriminator"},
    "what the discriminator tells": {"accuracy_real": "of data", "accuracy_fake": "of samples"},
    "gradient norms": {"grad_norm_generator": "generator", "grad_norm_discriminator": "discriminator"},
    "variety of samples": {"diversity": "diversity, relative to data", "recall": "recall"},
}
"""Title: key of a line -> its name."""


FEW = 3
"""Points that are drawn as dots: a line through fewer is not seen."""


def game(run: str | Path, /) -> Drawn:
    """Losses, the discriminator's accuracies, gradient norms of both players, diversity, and the classes drawn at every
    preview.

    Args:
        run: the folder of a GAN's run.

    Raises:
        NotApplicable: for a run that is no GAN.
    """
    opened = Run.open(run)
    lines = read_metrics(opened.folder)
    if not any("accuracy_fake" in line for line in lines):
        raise NotApplicable(f"unnoise show game draws the run of a GAN, and {opened.folder} is none")
    histograms = [line for line in lines if "class_fractions" in line]
    figure = slide(f"Generator against discriminator: {opened.folder.name}")
    *panels, last = figure.subplots(2, 3).flat
    for axes, (title, keys) in zip(panels, PANELS.items(), strict=False):
        _curves(axes, title, keys, lines)
    panels[2].set_yscale("log")
    _classes(panels[4], histograms, opened.classes)
    _last(last, histograms, opened.classes)
    vanished = histograms[-1]["classes_vanished"] if histograms else None
    newest: Record = {key: value for line in lines for key, value in line.items() if isinstance(value, float)}
    told = ("accuracy_real", "accuracy_fake", "diversity", "recall")
    return Drawn(figure, {"classes_vanished": vanished, **{key: newest[key] for key in told if key in newest}})


def _curves(axes: Axes, title: str, keys: dict[str, str], lines: Sequence[Line]) -> None:
    """Each as it was logged, faintly, and its mean over a twentieth of the run."""
    for key, name in keys.items():
        points = np.array([(line["step"], line[key]) for line in lines if line.get(key) is not None])
        if len(points):
            marker = "o" if len(points) < FEW else ""
            (line,) = axes.plot(*points.T, alpha=0.25, linewidth=1)
            axes.plot(points[:, 0], smoothed(points[:, 1]), label=name, color=line.get_color(), marker=marker)
    axes.set(title=title, xlabel="step")
    axes.legend(frameon=True, framealpha=0.85, edgecolor="none")


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean of each value's neighbours within a twentieth of them all."""
    reach = len(values) // 40
    sums = np.cumsum(np.concatenate([[0.0], values]))
    at = np.arange(len(values))
    low, high = np.maximum(0, at - reach), np.minimum(len(values), at + reach + 1)
    return (sums[high] - sums[low]) / (high - low)


def _classes(axes: Axes, histograms: Sequence[Line], classes: Sequence[str]) -> None:
    """A column for each preview, a row for each class."""
    axes.set(title="classes at every preview", xlabel="step")
    if not histograms:
        _nothing(axes)
        return
    fractions = np.array([line["class_fractions"] for line in histograms]).T
    axes.imshow(fractions, aspect="auto", origin="lower", cmap="viridis", vmin=0)
    shown = np.unique(np.linspace(0, len(histograms) - 1, 5).astype(int))
    axes.set_xticks(shown, [str(histograms[index]["step"]) for index in shown])
    _name(axes.set_yticks, classes)
    axes.grid(False)


def _last(axes: Axes, histograms: Sequence[Line], classes: Sequence[str]) -> None:
    """The newest histogram beside the data's."""
    axes.set(title="classes at the last preview", ylabel="fraction of samples")
    if not histograms:
        _nothing(axes)
        return
    at = np.arange(len(classes))
    axes.bar(at, histograms[-1]["class_fractions"], label="samples")
    axes.hlines(histograms[-1]["class_fractions_data"], at - 0.4, at + 0.4, color="black", label="data")
    _name(axes.set_xticks, classes)
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper right", ncols=2)


def _name(set_ticks: object, classes: Sequence[str]) -> None:
    """The classes' names, as many as have room."""
    assert callable(set_ticks)
    shown = np.unique(np.linspace(0, len(classes) - 1, 10).astype(int))
    set_ticks(shown, [classes[label][:8] for label in shown])


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no classes were counted", transform=axes.transAxes, ha="center", color="#555555")
    axes.grid(False)
