"""Autoencoder, denoising autoencoder, VAE, GAN and diffusion on equal terms: the same data, training time and measures.

    python benchmarks/families.py DATA [--minutes 5] [-n 2000] [--stability] [--out runs/families]

Trains every recipe for the same time, measures all of them with `unnoise compare` (diffusion by DDPM and by DDIM),
times the drawing of 50,000 images by extrapolation, and, with --stability, trains each again with three seeds and three
learning rates. Runs that exist are resumed, so the script may be stopped at any time.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import unnoise
from unnoise.config import read_recipe
from unnoise.evaluation import compare, evaluate
from unnoise.files import write_atomic

RECIPES = ("autoencoder", "dae", "vae", "gan", "ddpm")
STABLE = ("vae", "gan", "ddpm")
"""What can be sampled, and so can fail to cover the data."""
SAMPLERS = (("ddpm", 1000), ("ddim", 50), ("unipc", 10))
IMAGES = 50_000
FACTORS = (1 / 3, 1.0, 3.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--short", type=float, default=1.0, help="minutes of each training for stability")
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--stability", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/families"))
    options = parser.parse_args()
    runs = {name: trained(options.data, name, options.out / name, options.minutes) for name in RECIPES}
    results: dict[str, Any] = {"minutes": options.minutes, "table": table(runs, options.n, options.out)}
    if options.stability:
        results["stability"] = {
            name: stability(options.data, name, options.out, options.short, options.n) for name in STABLE
        }
    write_atomic(options.out / "families.json", json.dumps(results, indent=1))
    print("\n".join(lines(results)))


def trained(data: str, recipe: str, folder: Path, minutes: float, **overrides: Any) -> Path:
    """A run of the recipe with that much training time."""
    unnoise.train(data, recipe, folder, minutes=minutes, overrides=overrides)
    return folder


def table(runs: dict[str, Path], n: int, out: Path) -> list[dict[str, Any]]:
    """A row per run, diffusion's by sampler."""
    metrics = ("fid", "precision", "recall", "modes", "memorised", "bpd")
    rows = []
    for name, folder in runs.items():
        variants = SAMPLERS if name == "ddpm" else ((None, None),)
        for sampler, steps in variants:
            chosen = {"samplers": [sampler], "steps": [steps]} if sampler else {}
            found = compare([folder], metrics=metrics, n=n, out=out / f"{name}-{sampler or 'report'}", **chosen)
            row = found["table"][0]
            seconds = row["seconds_per_image"]
            rows.append({**row, "run": name, "seconds_50000": None if seconds is None else seconds * IMAGES})
    compare(list(runs.values()), metrics=metrics, n=n, out=out)
    return rows


def stability(data: str, recipe: str, out: Path, minutes: float, n: int) -> dict[str, Any]:
    """Frechet distance and classes covered over three seeds and three learning rates."""
    rate = read_recipe(recipe)["train"]["learning_rate"]
    found = []
    for seed in range(3):
        for factor in FACTORS:
            folder = out / "stability" / f"{recipe}-{seed}-{factor:.2g}"
            unnoise.train(
                data, recipe, folder, minutes=minutes, seed=seed, overrides={"train.learning_rate": rate * factor}
            )
            result = evaluate(folder, metrics=("fid", "modes"), n=n)
            found.append(
                {"seed": seed, "rate": rate * factor, "fid": result["fid"], "modes": result["modes"]["covered"]}
            )
    distances = [one["fid"] for one in found]
    return {
        "runs": found,
        "median": statistics.median(distances),
        "worst": max(distances),
        "least_modes": min(one["modes"] for one in found),
    }


def lines(results: dict[str, Any]) -> list[str]:
    """Markdown of both tables."""
    keys = ("run", "sampler", "steps", "fid", "precision", "recall", "modes", "bits_per_dim", "seconds_50000")
    text = [f"| {' | '.join(keys)} |", f"|{'---|' * len(keys)}"]
    text += [f"| {' | '.join(_cell(row[key]) for key in keys)} |" for row in results["table"]]
    for name, found in results.get("stability", {}).items():
        spread = f"median {found['median']:.3f}, worst {found['worst']:.3f}, at least {found['least_modes']} classes"
        text.append(f"* {name}, 3 seeds x 3 learning rates: {spread}")
    return text


def _cell(value: Any) -> str:
    return "none" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
