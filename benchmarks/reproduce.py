"""FID against steps: the table of the DDIM paper (Song et al. 2021, table 1, CIFAR-10), and the same table of a run.

    python benchmarks/reproduce.py RUN [-n 2000] [--steps 10,20,50,100,1000] [--out FOLDER]

The absolute numbers are not comparable (other data, features, model and training); the shape is: each cell is also
shown as a ratio to the most steps of DDPM or, where no noise is drawn, of DDIM. Every cell is kept in FOLDER, so
a run that was stopped goes on; FOLDER/table.md grows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from unnoise.evaluation import evaluate
from unnoise.files import write_atomic

PAPER: dict[str, dict[int, float]] = {
    "ddim": {10: 13.36, 20: 6.84, 50: 4.67, 100: 4.16, 1000: 4.04},
    "ddpm": {10: 367.43, 20: 133.37, 50: 32.72, 100: 9.99, 1000: 3.17},
}
"""FID by steps: eta = 0, and sigma-hat, DDPM's larger variance."""
SOLVERS: dict[str, int] = {"tuned": 50, "unipc": 50, "ddim": 1000, "ddpm": 1000}
"""The samplers, and the most steps that each is asked for; 'tuned' where `unnoise tune` has found one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--steps", default="10,20,50,100,1000")
    parser.add_argument("--features", default=None)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reproduce"))
    options = parser.parse_args()
    cells: dict[str, dict[int, float]] = {}
    for steps in (int(count) for count in options.steps.split(",")):
        for name, most in SOLVERS.items():
            if steps > most or (name == "tuned" and not (options.run / "tuned" / f"{steps}.json").is_file()):
                continue
            result = cell(options.run, name, steps, options)
            cells.setdefault(name, {})[steps] = result["fid"]
            write_atomic(options.out / "table.md", "\n".join([*table(cells), "", *conditions(result), ""]))
    print((options.out / "table.md").read_text())


def cell(run: Path, sampler: str, steps: int, options: argparse.Namespace) -> dict[str, Any]:
    """One measurement, from its file where it was made before."""
    file = options.out / f"{sampler}-{steps}-{options.n}.json"
    if not file.is_file():
        how = {"variance": "beta"} if sampler == "ddpm" else {}
        result = evaluate(
            run, None, ("fid",), options.features, options.n, sampler=sampler, options={"steps": steps, **how}
        )
        write_atomic(file, json.dumps(result, indent=1))
    return json.loads(file.read_text())


def table(ours: dict[str, dict[int, float]]) -> list[str]:
    """Markdown: a row per sampler, in brackets the ratio to the most steps of DDPM or, of those without noise, DDIM."""
    steps = sorted({count for values in (*ours.values(), *PAPER.values()) for count in values})
    lines = [f"| sampler | {' | '.join(map(str, steps))} |", f"|---|{'---|' * len(steps)}"]
    rows = {f"paper, {name}": values for name, values in PAPER.items()} | {f"here, {n}": v for n, v in ours.items()}
    for name, values in rows.items():
        family, _, sampler = name.partition(", ")
        limit = rows.get(f"{family}, {'ddpm' if sampler == 'ddpm' else 'ddim'}", values)
        base = limit[max(limit)]
        cells = [f"{values[k]:.2f} ({values[k] / base:.2f})" if k in values else "" for k in steps]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def conditions(result: dict[str, Any]) -> list[str]:
    """What the run's numbers hold for."""
    floor, seeds = result.get("fid_baseline", {}), result["samples"]["seeds"]
    return [
        f"Here: {result['fid_name']}, {result['n']} samples of step {result['step']} (checkpoint "
        f"{result['checkpoint'][:8]}) against {result['reference']['n']} images of {result['reference']['split']}, "
        f"seeds {seeds[0]} to {seeds[1]}, {result['samples']['precision']}; held-out real images get "
        f"{floor.get('value', float('nan')):.3f}.",
        "Paper: FID (Inception features), CIFAR-10, 50,000 samples; its DDPM row has the larger variance, as here.",
    ]


if __name__ == "__main__":
    main()
