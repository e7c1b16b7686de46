"""The figures of a report: SVG that takes the page's ink, so that it reads on light and on dark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unnoise.aliases import Spec
from unnoise.runs.metrics_file import read_metrics

INK = "#010203"
"""Stands for the page's text colour in a figure; no line of data uses it."""
COLOURS = ("#3b78d8", "#d9661f", "#2a9d6f", "#b455c4", "#c9a227", "#d64550", "#4fb0c6", "#8d6e63")
BESIDE = 3
"""Names at most that find room in a figure; more stand below it."""
Curve = tuple[Sequence[float], Sequence[float]]


def curves(
    lines: Mapping[str, Curve],
    *,
    x: str,
    y: str,
    log: str = "",
    markers: bool = False,
    named: bool = True,
    level: float | None = None,
) -> str:
    """Lines by name as SVG. log: '', 'x', 'y' or 'xy'. markers: the points are few; named: the x axis names them.
    level: a dashed line that all are to be read against."""
    figure, axes = _axes()
    for colour, (name, (at, values)) in zip(_cycled(len(lines)), lines.items(), strict=True):
        axes.plot(
            at, values, marker="o" if markers else None, markersize=4, linewidth=1.4, color=colour, label=plain(name)
        )
    if level is not None:
        axes.axhline(level, color=INK, linestyle="--", linewidth=0.8, label="held-out real images")
    axes.set(xlabel=x, ylabel=y, xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    if markers and named:
        ticks = sorted({tick for at, _ in lines.values() for tick in at})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    return _svg(figure, axes, legend=len(lines) > 1 or level is not None)


def bars(groups: Mapping[str, Sequence[float]], names: Sequence[str], *, y: str) -> str:
    """Grouped bars: for every name one bar of each group."""
    figure, axes = _axes()
    width = 0.8 / max(1, len(groups))
    ticks = np.arange(len(names))
    for index, (colour, (name, values)) in enumerate(zip(_cycled(len(groups)), groups.items(), strict=True)):
        axes.bar(ticks + (index - (len(groups) - 1) / 2) * width, values, width, color=colour, label=plain(name))
    axes.set(ylabel=y)
    axes.set_xticks(ticks, [plain(name) for name in names], rotation=0 if max(map(len, names)) < 4 else 45)
    return _svg(figure, axes, legend=len(groups) > 1)


def plain(text: str) -> str:
    """Text that others wrote, as it stands: matplotlib would read what is between two dollar signs as a formula, and
    leave out of a legend what begins with an underscore. Characters that no figure can show are left out."""
    shown = "".join(character for character in text if character.isprintable())
    return (f" {shown}" if shown.startswith("_") else shown).replace("$", r"\$")


def loss_curve(folder: Path, points: int = 300) -> Curve:
    """The training loss of a run against its steps, averaged to at most `points` values."""
    lines = read_metrics(folder)
    found = np.array([(line["step"], line["loss"]) for line in lines if "loss" in line])
    if not len(found):
        return [], []
    parts = np.array_split(found, min(points, len(found)))
    return [float(part[:, 0].mean()) for part in parts], [float(part[:, 1].mean()) for part in parts]


def binned(curve: Spec, bins: int = 60) -> Curve:
    """A per-t curve averaged over neighbouring t: what few visits leave noisy becomes readable."""
    t, bits = np.array(curve["t"]), np.array(curve["bits"])
    edges = np.unique(np.geomspace(1, t.max() + 1, bins))
    bin_of = np.digitize(t, edges)
    kept = np.unique(bin_of)
    return [float(t[bin_of == k].mean()) for k in kept], [float(bits[bin_of == k].mean()) for k in kept]


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_alpha(0.4)
    axes.tick_params(colors=INK, which="both", labelsize=8)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(color=INK, alpha=0.1, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, axes: Axes, legend: bool) -> str:
    if legend:
        many = len(axes.get_legend_handles_labels()[1]) > BESIDE
        style = {"frameon": False, "fontsize": 8, "labelcolor": INK}
        if many:
            figure.legend(loc="outside lower center", ncols=3, **style)
        else:
            axes.legend(**style)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue().replace(INK, "currentColor")
    return text[text.index("<svg") :]


def _cycled(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
