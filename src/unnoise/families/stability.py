"""How reliably a family trains: three seeds and three learning rates, briefly."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from unnoise.aliases import Record, Spec
from unnoise.evaluation import evaluate
from unnoise.families.table import FAMILIES
from unnoise.files import json_text, write_atomic
from unnoise.io.json_file import read_json
from unnoise.runs.config import read_recipe
from unnoise.training.train import train

SEEDS = 3
FACTORS = (1 / 3, 1.0, 3.0)
"""Of the recipe's learning rate."""
FEW = 7
"""So many classes or fewer are counted as too few."""
QUICK = "unipc@10"
"""The sampler of models that draw in many steps: these trainings are many."""
STABILITY_COLUMNS = ("family", "best", "median", "worst", "fewest classes", f"{FEW} or fewer")


def stability(
    source: str | Path, names: Sequence[str], out: Path, *, minutes: float, n: int, overrides: Spec
) -> dict[str, list[Record]]:
    """Frechet distance and classes covered of each family, for every seed and learning rate; what was measured is kept.

    Args:
        source: the images.
        names: in FAMILIES.
        out: the folder of the families; the runs go to OUT/stability.
        minutes: of each training.
        n: samples of each.
        overrides: dotted keys, set in every recipe.
    """
    return {
        name: [
            _one(source, name, seed, factor, out, minutes, n, overrides) for seed in range(SEEDS) for factor in FACTORS
        ]
        for name in names
    }


def stability_rows(found: dict[str, list[Record]]) -> list[list[str]]:
    """A row per family under STABILITY_COLUMNS."""
    rows = []
    for name, runs in found.items():
        distances, modes = [run["fid"] for run in runs], [run["modes"] for run in runs if run["modes"] is not None]
        ends = (min(distances), statistics.median(distances), max(distances))
        fewest = [str(min(modes)), f"{sum(count <= FEW for count in modes)} of {len(modes)}"] if modes else ["", ""]
        rows.append([name, *(f"{value:.1f}" for value in ends), *fewest])
    return rows


def _one(
    source: str | Path, name: str, seed: int, factor: float, out: Path, minutes: float, n: int, overrides: Spec
) -> Record:
    family = FAMILIES[name]
    rate = factor * read_recipe(family.recipe)["train"]["learning_rate"]
    folder = out / "stability" / f"{name}-{seed}-{rate:.1e}"
    kept = folder / "stability.json"
    if not kept.is_file():
        changes = {**family.overrides, **overrides, "train.learning_rate": rate, "train.samples": 0}
        run = train(source, family.recipe, folder, minutes=minutes, seed=seed, overrides=changes)
        labelled = bool(run.classes)
        sampler = QUICK if "sampler" in run.config else None
        result = evaluate(folder, metrics=("fid", "modes") if labelled else ("fid",), n=n, sampler=sampler)
        modes = result["modes"]["covered"] if labelled else None
        write_atomic(kept, json_text({"seed": seed, "rate": rate, "fid": result["fid"], "modes": modes}))
    return read_json(kept)
