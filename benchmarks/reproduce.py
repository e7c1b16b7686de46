"""FID against steps: the table of the DDIM paper (Song et al. 2021, table 1, CIFAR-10), and the same table of a run.

    python benchmarks/reproduce.py RUN [-n 2000] [--steps 10,20,50,100,1000] [--out FOLDER]

The absolute numbers are not comparable (other data, features, model and training); the shape is: each row is also shown
as a ratio to its own best. Writes FOLDER/table.md, and results.json and report.html
for each sampler.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from unnoise.evaluation import compare

PAPER: dict[str, dict[int, float]] = {
    "ddim": {10: 13.36, 20: 6.84, 50: 4.67, 100: 4.16, 1000: 4.04},
    "ddpm": {10: 367.43, 20: 133.37, 50: 32.72, 100: 9.99, 1000: 3.17},
}
"""FID by steps: eta = 0, and sigma-hat, DDPM's larger variance."""
SOLVERS = {"ddpm": 1000, "ddim": 1000, "unipc": 50, "tuned": 50}
"""The samplers, and the most steps that each is asked for; 'tuned' where `unnoise tune` has found one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--steps", default="10,20,50,100,1000")
    parser.add_argument("--features", default=None)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reproduce"))
    options = parser.parse_args()
    steps = [int(count) for count in options.steps.split(",")]
    ours: dict[str, dict[int, float]] = {}
    first: dict = {}
    for name, most in SOLVERS.items():
        wanted = [count for count in steps if count <= most and (name != "tuned" or tuned(options.run, count))]
        if not wanted:
            continue
        folder = options.out / name
        found = compare(
            [options.run],
            steps=wanted,
            samplers=[name],
            metrics=("fid",),
            features=options.features,
            n=options.n,
            out=folder,
        )
        ours[name] = {row["steps"]: row["fid"] for row in found["table"]}
        first = first or json.loads((folder / "results.json").read_text())["results"][0]
    text = "\n".join([*table(ours, steps), "", *conditions(first)])
    (options.out / "table.md").write_text(text + "\n")
    print(text)


def tuned(run: Path, steps: int) -> bool:
    return (run / "tuned" / f"{steps}.json").is_file()


def table(ours: dict[str, dict[int, float]], steps: list[int]) -> list[str]:
    """Markdown: a row per sampler, in brackets the ratio to the row's best."""
    lines = [f"| sampler | {' | '.join(map(str, steps))} |", f"|---|{'---|' * len(steps)}"]
    rows = {f"paper, {name}": values for name, values in PAPER.items()} | {f"here, {n}": v for n, v in ours.items()}
    for name, values in rows.items():
        best = min(values.values())
        cells = [f"{values[k]:.2f} ({values[k] / best:.2f})" if k in values else "" for k in steps]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def conditions(result: dict) -> list[str]:
    """What the run's numbers hold for."""
    floor = result.get("fid_floor", {})
    return [
        f"Here: {result['fid_name']}, {result['n']} samples of step {result['step']} (checkpoint "
        f"{result['checkpoint'][:8]}) against {result['reference']['n']} images of {result['reference']['split']}, "
        f"seeds {result['samples']['seeds'][0]} to {result['samples']['seeds'][1]}, {result['samples']['precision']}; "
        f"held-out real images get {floor.get('value', float('nan')):.3f}.",
        "Paper: FID (Inception features), CIFAR-10, 50,000 samples.",
    ]


if __name__ == "__main__":
    main()
