"""The charts of a run's page: every number of metrics.jsonl, in groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from unnoise.runs.charts import Chart, chart
from unnoise.runs.curves import Curve, curves_of, numbers
from unnoise.runs.metrics_file import Line

POINTS = 160
"""Of a curve; a chart is not much wider in pixels."""


class Group(NamedTuple):
    """A chart, of the keys of metrics.jsonl that a pattern matches as a whole.

    pattern: its group, if there is one, is what a line is called, unless NAMES knows better.
    least, largest: ends of the axis.
    """

    title: str
    pattern: str
    least: float | None = None
    largest: float | None = None


GROUPS = (
    Group("Loss", r"loss|validation_loss"),
    Group("Loss on held-out images and on as many training images", r"held_out_loss|training_loss"),
    Group("Held-out loss by noise level, 1 the least noise", r"held_out_losses\.(.*)"),
    Group("Training loss by noise level, 1 the least noise", r"training_losses\.(.*)"),
    Group("Distance to real images", r"fid|.*distance.*"),
    Group("Copies of training images", r"copies_?(.*)", 0.0, 1.0),
    Group("Parts of the loss", r"bound|distortion|rate|simple|perceptual|adversarial|discriminator|penalty"),
    Group("Accuracy", r"accuracy_?(.*)", 0.0, 1.0),
    Group("Diversity of samples, as a fraction of the data's", r"diversity", 0.0),
    Group("Gradient norm", r"grad_norm_?(.*)"),
    Group("Learning rate", r"learning_rate", 0.0),
    Group("Images per second", r"images_per_second", 0.0),
)
UNSHOWN = ("memory_gib", "went_back_from", "rate_factor", "copies_of", "held_out_images")
NAMES = {
    "loss": "training",
    "validation_loss": "held-out",
    "held_out_loss": "held-out",
    "training_loss": "training",
    "copies_base_rate": "among real images",
}
BY_LEVEL = {"held_out_losses": "held-out", "training_losses": "training"}
"""Losses by noise level, the least noise first."""


def charts(lines: Sequence[Line]) -> list[Chart]:
    """Every number that was recorded, in groups; what belongs to none has a chart of its own."""
    curves = {key: _finite(curve) for key, curve in curves_of(lines, POINTS).items() if key not in UNSHOWN}
    left = {key: curve for key, curve in curves.items() if curve}
    found = []
    for group in GROUPS:
        matches = [match for key in left if (match := re.fullmatch(group.pattern, key))]
        drawn = {_name(match): left.pop(match.string) for match in matches}
        if drawn:
            found.append(chart(group.title, drawn, least=group.least, largest=group.largest))
    return [*found, *_by_level(lines), *_others(left)]


def _by_level(lines: Sequence[Line]) -> list[Chart]:
    """The newest losses by noise level: where a model learns by heart, held-out images part from the others here."""
    newest = next((line for line in reversed(lines) if any(isinstance(line.get(key), list) for key in BY_LEVEL)), None)
    if newest is None:
        return []
    losses = {name: dict(numbers({key: newest.get(key)})) for key, name in BY_LEVEL.items()}
    drawn = {name: list(enumerate(values.values(), 1)) for name, values in losses.items() if values}
    return [chart(f"By noise level at step {newest['step']:,}, 1 the least noise", drawn)] if drawn else []


def _others(curves: Mapping[str, Curve]) -> list[Chart]:
    """A chart for every key, and for every table of numbers."""
    families: dict[str, dict[str, Curve]] = {}
    for key, curve in curves.items():
        family, _, name = key.partition(".")
        families.setdefault(_words(family), {})[name or _words(key)] = curve
    return [chart(family.capitalize(), named) for family, named in families.items()]


def _name(match: re.Match[str]) -> str:
    """What a line is called."""
    return NAMES.get(match.string) or _words(match[match.lastindex or 0] or match.string)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _finite(curve: Curve) -> Curve:
    return [(step, value) for step, value in curve if abs(value) < float("inf")]
