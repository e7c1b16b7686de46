"""The layers of the package: what may import what. `python tools/layers.py` writes the tables of the documentation.

A package imports packages of the layers above it in this list only; packages of one layer do not know each other.
`tests/test_layers.py` checks that against the real imports.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Layer(NamedTuple):
    """packages: name -> what is in it."""

    name: str
    packages: dict[str, str]


LAYERS = (
    Layer(
        "errors",
        {
            "errors": "the errors that speak to users",
            "aliases": "types that many packages speak of",
            "host": "from the host's memory to a device",
        },
    ),
    Layer(
        "base",
        {
            "registry": "objects from specs, specs from objects",
            "seeding": "random draws as functions of keys",
            "files": "atomic writes",
            "progress": "progress bars",
        },
    ),
    Layer(
        "foundations",
        {
            "process": "schedules, levels, closed forms, parametrizations, the denoiser",
            "networks": "tensors to tensors; know nothing of diffusion",
            "io": "the one door for files of others: pictures, masks, archives, arrays, within limits",
        },
    ),
    Layer("published", {"published": "networks of published autoencoders, by the names of their weights"}),
    Layer("sets", {"data": "sets of images, their fields, batches; decoding and packing"}),
    Layer("sources", {"sources": "from whatever the user names to a set of images"}),
    Layer(
        "solvers",
        {
            "samplers": "solvers, grids of times, the search for better ones",
            "guidance": "denoisers around denoisers",
            "runtime": "devices, precision, threads, CUDA graphs, batch sizes, several processes",
        },
    ),
    Layer(
        "measures",
        {
            "metrics": "distances, likelihoods, intervals: tensors to numbers",
            "inverse": "inverse problems on tensors: operators, posterior samplers, RePaint, SDEdit",
        },
    ),
    Layer("spaces", {"features": "feature spaces: classifier, ImageNet, Inception, DINO, pixels"}),
    Layer("models", {"models": "what a run leaves behind, and what it can do; pretrained autoencoders"}),
    Layer(
        "learning",
        {"objectives": "how a model learns", "runs": "run folders: configuration, checkpoints, their data"},
    ),
    Layer(
        "work",
        {
            "training": "train > session > trainer; plan, log, average, optimizer",
            "sampling": "images from a run: conditions, guidance, batches, files",
        },
    ),
    Layer(
        "uses",
        {
            "evaluation": "evaluate, compare, reports",
            "editing": "picture files in, picture files out",
            "interop": "models of other libraries, in and out",
            "testing": "the contracts that plug-ins are tested by",
        },
    ),
    Layer(
        "probing",
        {
            "probing": "what a model has learned to see: linear probe, classes by Bayes' rule",
            "publishing": "runs with a model card, in a folder or on a hub",
        },
    ),
    Layer(
        "course",
        {
            "lectures": "the figures and experiments of a course",
            "families": "every family of models trained for the same time and measured alike",
        },
    ),
    Layer("demo", {"demo": "the main job end to end", "studio": "the local page and its REST interface"}),
    Layer("face", {"cli": "the command line: the public API and no logic"}),
    Layer("start", {"__main__": "python -m unnoise"}),
)

DATA_ONLY = {"recipes", "templates"}
"""Folders of files that are read, not imported."""

PAGES = ("CONTRIBUTING.md", "docs/architecture.md")
BEGIN, END = "<!-- layers: made by tools/layers.py -->", "<!-- end of layers -->"


def rank(package: str) -> int:
    """The place of a package's layer, 0 for the lowest."""
    return next(place for place, layer in enumerate(LAYERS) if package in layer.packages)


def table() -> str:
    """The layers as Markdown, the lowest last, as a house is drawn."""
    rows = [
        f"| {layer.name} | `{package}` | {text} |"
        for layer in reversed(LAYERS)
        for package, text in layer.packages.items()
    ]
    return "\n".join(["| layer | package | what is in it |", "|---|---|---|", *rows])


def updated(page: str) -> str:
    """The page's text with the table as it should be."""
    text = (ROOT / page).read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", text)


def main() -> None:
    for page in PAGES:
        (ROOT / page).write_text(updated(page))


if __name__ == "__main__":
    main()
