"""The card of a published run: what it is, what it was trained on, what it measured, under which conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

import unnoise
from unnoise.aliases import Record
from unnoise.evaluation.keeping import results_of
from unnoise.evaluation.metrics import METRICS
from unnoise.files import json_text
from unnoise.runs.checkpoint import to_load
from unnoise.runs.paths import public_name, without_paths
from unnoise.runs.run import CHECKPOINTS, Run

TEMPLATE = "model_card.md"
CONDITIONS = ("features", "feature_space", "n", "reference", "samples", "split", "seed", "likelihood")
"""Of an evaluation: what a number holds for."""
MEMORISED = "memorised"


class Number(NamedTuple):
    """A measured number: the metric's key, what people call it, its value, what it holds for."""

    key: str
    name: str
    value: float
    conditions: Record

    @property
    def text(self) -> str:
        """The conditions for people."""
        samples, reference = self.conditions.get("samples") or {}, self.conditions.get("reference") or {}
        parts = {
            "features": self.conditions.get("features"),
            "samples": self.conditions.get("n"),
            "sampler": samples.get("sampler"),
            "guidance": samples.get("guidance"),
            "reference": reference.get("split") and f"{reference['split']}, {reference.get('n')} images",
            "seed": self.conditions.get("seed"),
        }
        return "; ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def numbers_of(run: Run) -> list[Number]:
    """Every number that was measured of the run's newest weights, the latest of each metric."""
    step = run.weights()["step"]
    found: dict[str, Number] = {}
    for result in results_of(run):
        if result.get("step") == step:
            found.update((number.key, number) for number in _numbers(result))
    return list(found.values())


def _numbers(result: Mapping[str, Any]) -> Iterator[Number]:
    conditions = without_paths({key: result[key] for key in CONDITIONS if key in result})
    for metric in METRICS:
        for column in metric.columns:
            value = column.of(dict(result))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield Number(column.key, column.title([dict(result)]), float(value), conditions)


def card(run: Run, name: str, license: str, *, has_samples: bool) -> str:
    """README.md: YAML that the hub reads, then Markdown.

    Args:
        run: a trained run.
        name: what the model is called.
        license: of its weights, as the hub calls it: 'mit', 'cc-by-4.0'.
        has_samples: whether a grid of samples lies beside it.
    """
    numbers = numbers_of(run)
    template = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    text = resources.files("unnoise.templates").joinpath(TEMPLATE).read_text(encoding="utf-8")
    checkpoint, _ = to_load(run.folder / CHECKPOINTS)
    assert checkpoint is not None
    return template.from_string(text).render(
        front=_front_matter(run, name, license, numbers),
        name=name,
        license=license,
        version=unnoise.__version__,
        data=data_of(run),
        recipe=run.config["recipe"],
        model=run.config["model"],
        sampler=run.config.get("sampler"),
        train=run.config["train"],
        state=checkpoint.state(),
        numbers=numbers,
        memorised=next((number for number in numbers if number.key == MEMORISED), None),
        has_samples=has_samples,
    )


def data_of(run: Run) -> Record:
    """What the run was trained on, without saying where it lay."""
    found = run.config["found"]
    return {
        "name": public_name(run.config["source"]),
        "images": found["images"],
        "size": f"{found['width']}x{found['height']}",
        "channels": found["channels"],
        "classes": found["classes"],
    }


def _front_matter(run: Run, name: str, license: str, numbers: list[Number]) -> str:
    """YAML, each value written as JSON, which YAML takes: nothing in a name can end it."""
    data = data_of(run)
    metrics = [
        {"type": number.key, "name": number.name, "value": number.value, "args": number.conditions}
        for number in numbers
    ]
    task = {"type": "unconditional-image-generation", "name": "Image generation"}
    dataset = {"type": "image-folder", "name": data["name"], "split": "train"}
    index = [{"name": name, "results": [{"task": task, "dataset": dataset, "metrics": metrics}] if metrics else []}]
    fields: Record = {
        "license": license,
        "library_name": "unnoise",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["unnoise", "image-generation", str(run.config["model"]["kind"])],
        "model-index": index,
    }
    return "\n".join(f"{key}: {json_text(value)}" for key, value in fields.items())
