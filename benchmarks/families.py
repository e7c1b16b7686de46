"""Autoencoder, denoising autoencoder, VAE, GAN and diffusion on equal terms: the same data, training time and measures.

    python benchmarks/families.py DATA [--minutes 5] [-n 1000] [--short 1] [--few 500] [--out runs/families]

Trains every family for the same time and measures all of them with `unnoise compare`, diffusion by DDPM, DDIM and
UniPC: OUT/report.html is the page. With --short M, each that can be sampled is trained again for M minutes with three
seeds and three learning rates. Runs and short measurements that exist are kept, so a stopped script goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import unnoise
from unnoise.evaluation import compare, evaluate
from unnoise.files import write_atomic
from unnoise.runs.config import read_recipe

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoencoder": ("autoencoder", {}),
    "dae": ("dae", {}),
    "vae": ("vae", {}),
    "vae-levels": ("vae", {"model.likelihood": "discretised-logistic"}),
    "gan": ("gan", {}),
    "gan-minimax": ("gan-minimax", {}),
    "gan-minimax-3x": ("gan-minimax", {"train.learning_rate": 3e-3}),
    "ddpm": ("ddpm", {}),
}
"""Folder: recipe and what is changed. vae-levels: bits of the 256 levels, as ddpm has; gan-minimax-3x: its failure."""
SAMPLED = ("vae", "gan-minimax", "gan", "ddpm")
SAMPLERS = ("ddpm@100", "ddim@50", "unipc@10")
METRICS = ("fid", "precision", "recall", "coverage", "modes", "memorised", "bpd", "reconstruction")
FACTORS = (1 / 3, 1.0, 3.0)
KEYS = (*METRICS[:-2], "bits_per_dim", "reconstruction", "seconds_50000")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training")
    parser.add_argument("--short", type=float, default=0.0, help="minutes of each training for stability; 0 for none")
    parser.add_argument("-n", type=int, default=1000, help="samples of each row")
    parser.add_argument("--few", type=int, default=500, help="samples of each training for stability")
    parser.add_argument("--out", type=Path, default=Path("runs/families"))
    options = parser.parse_args()
    folders = [options.out / name for name in RUNS]
    for folder in folders:
        recipe, changes = RUNS[folder.name]
        unnoise.train(options.data, recipe, folder, minutes=options.minutes, overrides=changes)
    found = compare(folders, samplers=SAMPLERS, metrics=METRICS, n=options.n, out=options.out)
    results = {"minutes": options.minutes, "n": options.n, "table": found["table"]}
    if options.short:
        results["stability"] = {name: list(stability(options, name)) for name in SAMPLED}
    write_atomic(options.out / "families.json", json.dumps(results, indent=1))
    write_atomic(options.out / "families.md", "\n".join(lines(results)) + "\n")
    print((options.out / "families.md").read_text())


def stability(options: argparse.Namespace, recipe: str) -> list[dict[str, Any]]:
    """Frechet distance and classes covered, for three seeds and three learning rates."""
    rate = read_recipe(recipe)["train"]["learning_rate"]
    return [one(options, recipe, seed, rate * factor) for seed in range(3) for factor in FACTORS]


def one(options: argparse.Namespace, recipe: str, seed: int, rate: float) -> dict[str, Any]:
    """One short training, measured."""
    folder = options.out / "stability" / f"{recipe}-{seed}-{rate:.1e}"
    kept = folder / "stability.json"
    if not kept.is_file():
        unnoise.train(
            options.data,
            recipe,
            folder,
            minutes=options.short,
            seed=seed,
            overrides={"train.learning_rate": rate, "train.samples": 0},
        )
        sampler = {"sampler": "unipc", "options": {"steps": 10}} if recipe == "ddpm" else {}
        result = evaluate(folder, metrics=("fid", "modes"), n=options.few, **sampler)
        found = {"seed": seed, "rate": rate, "fid": result["fid"], "modes": result["modes"]["covered"]}
        write_atomic(kept, json.dumps(found))
    return json.loads(kept.read_text())


def lines(results: dict[str, Any]) -> list[str]:
    """Markdown of both tables."""
    text = [f"{results['minutes']:g} minutes of training each, {results['n']} samples of each row.", ""]
    text += [f"| run | sampler | {' | '.join(KEYS)} |", f"|{'---|' * (len(KEYS) + 2)}"]
    for row in results["table"]:
        sampler = f"{row['sampler']}, {row['steps']}" if row["sampler"] else ""
        text.append(f"| {Path(row['run']).name} | {sampler} | {' | '.join(_cell(row[key]) for key in KEYS)} |")
    if "stability" in results:
        text += [
            "",
            "| family | best | median | worst | fewest classes | 7 or fewer |",
            "|---|---|---|---|---|---|",
        ]
    for name, runs in results.get("stability", {}).items():
        distances, modes = [run["fid"] for run in runs], [run["modes"] for run in runs]
        spread = (min(distances), statistics.median(distances), max(distances))
        failed = sum(count <= 7 for count in modes)
        text.append(f"| {name} | {' | '.join(f'{d:.1f}' for d in spread)} | {min(modes)} | {failed} of {len(runs)} |")
    return text


def _cell(value: Any) -> str:
    return "none" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
