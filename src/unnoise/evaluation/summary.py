"""A result in lines for people."""

from __future__ import annotations

from collections.abc import Mapping

from unnoise.evaluation.entry import Result
from unnoise.evaluation.metrics import METRICS
from unnoise.evaluation.metrics.metric import Line


def lines_of(result: Result) -> list[Line]:
    """The numbers, then what they hold for."""
    step = f", step {result['step']}" if "step" in result else ""
    measured = [metric for metric in METRICS if any(column.of(result) is not None for column in metric.columns)]
    return [
        ("target", f"{result['target']}{step}"),
        *(line for metric in measured for line in metric.lines(result)),
        *(_conditions(result) if "features" in result else []),
        ("seconds", str(result["seconds"])),
    ]


def _conditions(result: Result) -> list[Line]:
    space, reference = result["feature_space"], result["reference"]
    accuracy = f", {100 * space['accuracy']:.2f} % right on held-out images" if "accuracy" in space else ""
    images = "" if reference["n"] is None else f", {reference['n']} images"
    bucket = f", the bucket {result['data']['bucket']} alone" if "bucket" in result["data"] else ""
    return [
        ("features", f"{result['features']}: {space['version']}{accuracy}"),
        ("samples", f"{result['n']}; {_how(result['samples'])}"),
        ("reference", f"{reference['source']} ({reference['split']}){images}{bucket}"),
    ]


def _how(samples: Mapping[str, object]) -> str:
    shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in samples.items()}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown.items() if value)
