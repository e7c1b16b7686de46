"""docs/gpu.md of the figures in benchmarks/results/gpu: what each means, and the latest. An empty cell is not measured.

python benchmarks/gpu/report.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "gpu"
PAGE = ROOT / "docs" / "gpu.md"
HEAD = """<!-- written by benchmarks/gpu/report.py -->
# On a GPU

`benchmarks/gpu/run.sh [MINUTES]` checks and measures unnoise on the machine it is started on, in this order: that a
GPU computes what the CPU computes, how fast a training step is beside two other libraries, how fast images are drawn,
and a training for the minutes that are left. It writes as it goes and stops at its time limit;
`benchmarks/gpu/wheels.sh` fetches what a machine without a network lacks; `python benchmarks/gpu/report.py` makes
this page. An empty cell has not been measured.
"""
TRAINING = """
## A training step

What a user's loop does: batch, noise, times, forward, backward, clipping, optimizer, average. The contenders have the
same U-Net at 32x32 (two blocks per level, attention at 16x16, heads of 64), the same batch, and take turns; images a
second are medians of five turns. TFLOP/s counts three times the FLOPs of a forward pass; the last column is its
fraction of the rate of one large matrix product in that precision on the same device. Over 100 %: kernels
(Winograd's) that multiply less than is counted. `first steps` is the time of the first three, in which kernels are
chosen and compiled.
"""
SAMPLING = """
## Drawing 50,000 images of 32x32

DDIM in batches of 1,000, the noise of every image drawn from its own seed on the CPU included. Where fewer images
were drawn for want of time the seconds are by proportion. `captured` replays CUDA graphs.
"""
LEARNT = """
## What these figures decided

* Compiling block by block is the default on a GPU for trainings of 5,000 steps and ten minutes or more. It is not the
  matter of seconds that one hopes for: a U-Net has about a dozen kinds of block, each compiled by itself.
* bf16 autocast with fp32 master weights, channels last, a fused AdamW, cuDNN's search for kernels in training. tf32
  where bf16 is not asked for or not there; `train.precision=fp32` multiplies in fp32, without tf32.
* Without compiling, most of the device's time in a network of 64 channels goes into layout copies around group
  normalisation, which PyTorch computes in the other layout. That is the next thing to mend.
* Launching kernels is slow on that machine: a network of 0.1 M parameters took 41 ms a step, in all three libraries,
  so the host decides below some 50 ms a step. The next thing to try is a CUDA graph of the whole step.
* Steps wait for nothing: no recipe's step reads a number back, and what it sends, it sends from pinned memory. That is
  tested on a stand-in for a GPU (`tests/device/test_no_waiting.py`); the test on a GPU has not been run since. Two
  options wait: `objective.pairing=optimal-transport`, which is computed on the CPU, and Muon in fp16, which is asked
  whether a gradient overflowed.
"""


def main() -> None:
    PAGE.write_text(page())
    print(PAGE)


def page() -> str:
    """The whole page."""
    machine = figures("machine").get("conditions", {})
    parts = [HEAD, on(machine), correctness(), TRAINING, training(machine), SAMPLING, sampling(), pictures(), LEARNT]
    return "".join(parts)


def figures(part: str) -> dict[str, Any]:
    file = RESULTS / f"{part}.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def on(machine: dict[str, Any]) -> str:
    if not machine:
        return "\nNothing has been measured yet.\n"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if name != "unnoise")
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in machine["tflops"].items())
    return (
        f"\nLatest figures: {machine['device']}, {machine['memory_gib']} GiB, CUDA {machine['cuda']}, {versions}, "
        f"Python {machine['python']}, {machine['date']}. One product of 8192x8192 matrices, in TFLOP/s: {rates}. "
        f"A copy: {machine['copy_gb_per_second']:.0f} GB/s, read and written.\n"
    )


def correctness() -> str:
    tests = figures("correctness").get("tests")
    if not tests:
        return "\n## The same as on the CPU\n\nNot run yet.\n"
    failed = "".join(f"\n* failed: `{case['test']}`: {' '.join(case['why'])}" for case in tests["failed"])
    whole = "" if tests["status"] in (0, 1) else " The time limit came before the last of them."
    return (
        "\n## The same as on the CPU\n\nThe tests marked `device`: every recipe's losses and gradients, every "
        "sampler's images within 1e-4, captured calls, one seed in any batch, other precisions, resuming, steps that "
        f"wait for nothing, memory that does not grow. Passed: {tests['passed']}, failed: {len(tests['failed'])}, "
        f"skipped: {len(tests['skipped'])}.{whole}{failed}\n"
    )


def training(machine: dict[str, Any]) -> str:
    lines = []
    for name, found in figures("training").items():
        size = found["size"]
        lines.append(f"\n### {name}: {size['channels']} channels, batch {size['batch']}\n")
        lines.append("| contender | M parameters | images/s (range) | TFLOP/s | of the matrix rate | first steps, s |")
        lines.append("|---|---|---|---|---|---|")
        lines += [f"| {how} | {_row(how, row, machine)} |" for how, row in found["rows"].items()]
        lines += _profile(found.get("profile") or {})
    return "\n".join(lines) + "\n"


def _row(how: str, row: dict[str, Any], machine: dict[str, Any]) -> str:
    if "images_per_second" not in row:
        return " | | | |"
    low, high = row["range"]
    rate = machine["tflops"][next(name for name in machine["tflops"] if name in how)]
    return (
        f"{row['parameters'] / 1e6:.1f} | {row['images_per_second']:.0f} ({low:.0f}-{high:.0f}) | {row['tflops']:.0f}"
        f" | {row['tflops'] / rate:.0%} | {row['first_steps_seconds']:.0f}"
    )


def _profile(profile: dict[str, Any]) -> list[str]:
    if not profile:
        return []
    rows = [f"| {kind} | {fraction:.0%} |" for kind, fraction in profile["kinds"].items() if fraction >= 0.005]
    return [f"\nWhere the device's time goes ({profile['of']}):\n", "| kernels | of the time |", "|---|---|", *rows]


def sampling() -> str:
    lines = ["\n| network | calls | captured | seconds for 50,000 | images drawn |", "|---|---|---|---|---|"]
    for row in figures("sampling").get("rows", []):
        captured = "yes" if row["captured"] else "no"
        drawn = f"{row['seconds_for_50000']:.0f} | {row['images']:,}"
        lines.append(f"| {row['network']} | {row['calls']} | {captured} | {drawn} |")
    return "\n".join(lines) + "\n"


def pictures() -> str:
    found = figures("pictures").get("training")
    if not found:
        return ""
    return (
        f"\n## A training\n\nRecipe `{found['recipe']}`, {found['steps']:,} steps, {found['images']:,} images in "
        f"{found['seconds']:.0f} s with the start of the device, {found['images_per_second']:.0f} images a second, "
        f"loss {found['loss']:.4f}. So short a training draws no pictures worth showing yet.\n"
    )


if __name__ == "__main__":
    main()
