"""How three distances between distributions see one of them move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unnoise.lectures.slide import COLOURS, Drawn, slide
from unnoise.metrics.frechet import frechet_distance
from unnoise.process.divergence import js_discrete, js_gaussian, kl_discrete, kl_gaussian

STD = 0.7
FARTHEST = 4.0
SHOWN = 1.5
FRAMES = 30
BERNOULLI = (0.6, 0.7)


def divergences() -> Drawn:
    """KL, Jensen-Shannon and Wasserstein-2 of N(0, STD^2) and N(m, STD^2) over m, and of two coins.

    KL grows with the square of m, JS stands at log 2 once the two no longer overlap, so its slope is gone, and the
    Wasserstein distance is m itself.
    """
    right = np.linspace(0, FARTHEST, 33)
    moves = np.concatenate([-right[:0:-1], right])
    curves = {
        "KL": [kl(move) for move in moves],
        "Jensen-Shannon": _mirrored([js_gaussian(0.0, STD, move, STD) for move in right]),
        "Wasserstein-2": [wasserstein(move) for move in moves],
    }
    p, q = (torch.tensor([1 - mean, mean]) for mean in BERNOULLI)
    numbers = {
        "kl_bernoulli": round(float(kl_discrete(p.double(), q.double())), 7),
        "js_bernoulli": round(float(js_discrete(p.double(), q.double())), 7),
        "kl_gaussian": round(kl(SHOWN), 7),
        "js_gaussian": round(js_gaussian(0.0, STD, SHOWN, STD), 7),
        "wasserstein": round(wasserstein(SHOWN), 7),
    }

    def frames() -> Iterator[Figure]:
        for move in FARTHEST * np.cos(np.linspace(0, np.pi, FRAMES)):
            yield _figure(moves, curves, float(move), numbers)

    return Drawn(_figure(moves, curves, SHOWN, numbers), numbers, frames)


def kl(move: float) -> float:
    """KL(N(0, STD^2) || N(move, STD^2)) = move^2 / (2 STD^2)."""
    mean, cov = torch.zeros(1), torch.full((1, 1), STD**2)
    return float(kl_gaussian(mean, cov, mean + move, cov))


def wasserstein(move: float) -> float:
    """W_2 = |move|: the Frechet distance's root."""
    mean, cov = np.zeros(1), np.full((1, 1), STD**2)
    return frechet_distance(mean, cov, mean + move, cov) ** 0.5


def _mirrored(values: list[float]) -> list[float]:
    return values[:0:-1] + values


def _figure(moves: np.ndarray, curves: dict[str, list[float]], move: float, numbers: dict[str, float]) -> Figure:
    figure = slide("How far is q from p?")
    left, right = figure.subplots(1, 2)
    _densities(left, move)
    for name, values in curves.items():
        (line,) = right.plot(moves, values, label=name)
        right.plot(move, np.interp(move, moves, values), "o", color=line.get_color(), markersize=9)
    right.axhline(np.log(2), color="black", linewidth=0.8, linestyle=":")
    right.annotate("log 2", (-FARTHEST, np.log(2)), textcoords="offset points", xytext=(0, 4), fontsize=11)
    right.set(xlabel="where q stands", ylabel="nats (KL, JS), length (Wasserstein)", ylim=(0, FARTHEST))
    right.legend(loc="upper center")
    coins = f"KL(Bernoulli {BERNOULLI[0]} || Bernoulli {BERNOULLI[1]}) = {numbers['kl_bernoulli']:.7f} nats"
    figure.text(0.5, 0.005, coins, ha="center", fontsize=13)
    figure.get_layout_engine().set(rect=(0, 0.04, 1, 0.96))  # type: ignore[union-attr]
    return figure


def _densities(axes: Axes, move: float) -> None:
    x = np.linspace(-FARTHEST - 3 * STD, FARTHEST + 3 * STD, 500)
    for mean, name, colour in ((0.0, "p", COLOURS[7]), (move, "q", COLOURS[3])):
        density = np.exp(-((x - mean) ** 2) / (2 * STD**2)) / (STD * np.sqrt(2 * np.pi))
        axes.plot(x, density, color=colour, label=name)
        axes.fill_between(x, density, color=colour, alpha=0.25)
    axes.set(xlabel="x", ylabel="density")
    axes.legend()
