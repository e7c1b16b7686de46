"""What a metric costs by itself, given the features: CPU and wall seconds by images and dimensions.

    OMP_NUM_THREADS=1 python benchmarks/metrics_speed.py [--counts 200,1000] [--out benchmarks/results/metrics-speed.md]

Features are standard normal, the samples' mean a tenth away from the references'. CPU seconds (`time.process_time`) are
what other work on the machine does not change; wall seconds are what the same call took by the clock.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from unnoise.metrics.frechet_interval import frechet_estimate
from unnoise.metrics.inception_score import inception_score
from unnoise.metrics.kernel import squared_mmd
from unnoise.metrics.memorisation import memorisation
from unnoise.metrics.precision_recall import inside, precision_recall
from unnoise.runtime.cpu import keep_pages

DIMS = (64, 1280, 2048, 3072)
CLASSES = 1000
METRICS: dict[str, Callable[[Tensor, Tensor], object]] = {
    "fid, with intervals": frechet_estimate,
    "kid, with its error": squared_mmd,
    "precision, recall, density, coverage, with errors": precision_recall,
    "samples inside the manifold (modes)": inside,
    "memorised": lambda x, y: memorisation(x, y, x),
    "inception_score": lambda x, _: inception_score((x @ x.new_ones(x.shape[1], CLASSES)).softmax(1)),
}


def measured(metric: Callable[[Tensor, Tensor], object], n: int, dim: int) -> tuple[float, float]:
    """CPU and wall seconds of one call on n samples and n references."""
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, dim, generator=draws) + 0.1, torch.randn(n, dim, generator=draws)
    cpu, wall = time.process_time(), time.perf_counter()
    metric(x, y)
    return time.process_time() - cpu, time.perf_counter() - wall


def table(counts: list[int], dims: list[int]) -> list[str]:
    """Rows of a markdown table: one a metric and number of images, CPU seconds and wall seconds for each width."""
    lines = [
        f"| metric | images | {' | '.join(f'{dim} dimensions' for dim in dims)} |",
        "|---|---" + "|---" * len(dims) + "|",
    ]
    for name, metric in METRICS.items():
        for n in counts:
            cells = ["{:.2f} ({:.2f})".format(*measured(metric, n, dim)) for dim in dims]
            lines.append(f"| {name} | {n:,} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="200,1000,10000")
    parser.add_argument("--dims", default=",".join(map(str, DIMS)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "metrics-speed.md")
    options = parser.parse_args()
    keep_pages()
    frechet_estimate(torch.randn(50, 8), torch.randn(50, 8))  # the libraries load
    counts, dims = ([int(item) for item in text.split(",")] for text in (options.counts, options.dims))
    conditions = (
        f"{datetime.date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread"
    )
    heading = "# What a metric costs, given the features\n\nSeconds of CPU time, and of wall time in brackets. "
    rows = "\n".join(table(counts, dims))
    options.out.write_text(f"{heading}{conditions}.\n\n{rows}\n")


if __name__ == "__main__":
    main()
