"""Images per second of one full training step: unnoise against other libraries, in turns.

Each contender lives in a process of its own (allocator and thread settings are a process's), and only one computes at
a time; the others wait on a pipe. A round gives each a turn of a few steps; the first rounds warm up. Medians over
rounds, and the median of the ratios of the same round, which the machine's moods hit alike.

    python benchmarks/training.py [--sizes small large] [--rounds 7] [--steps-per-turn 2] [--json FILE] [--quick]

A peer that cannot be imported is reported as absent, with the pip line that installs it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from contenders import CONTENDERS, SIZES, forward_flops

WARM_UP = 2
WIDTH = 150
"""Of the table, in columns."""
OURS = ("unnoise", "unnoise fp32", "unnoise fp32, plain allocator")
"""The contenders that every other is compared with, where they take part."""
PINNED = f"torch=={torch.__version__.split('+')[0]}"
INSTALL = {
    "diffusers": f"{PINNED} diffusers",
    "denoising-diffusion-pytorch": f"{PINNED} accelerate && pip install --no-deps denoising-diffusion-pytorch"
    " ema-pytorch pytorch-fid einops",
    "azula": "--no-deps azula einops",
}
"""What follows `pip install`: the pin and --no-deps keep pip from fetching another torch, or torchvision."""
PEERS = ("diffusers", "denoising-diffusion-pytorch", "ema-pytorch", "azula")
ENVIRONMENT = {"PYTHONWARNINGS": "ignore"}
"""Threads wait as users have them wait. Run this with nothing else running: busy cores distort every rate."""


class Worker:
    """A contender in a process of its own, waiting on its standard input between turns."""

    def __init__(self, name: str, size: str, threads: int) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in close(); a full pipe would stop the worker
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)},
        )
        self.facts: dict[str, Any] = self._read()

    def seconds(self, steps: int) -> float:
        assert self._process.stdin is not None
        print(steps, file=self._process.stdin, flush=True)
        return self._read()["seconds"]

    def close(self) -> None:
        self._process.communicate("")
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} ended with status {self._process.wait()}:\n{self._errors.read()}")
        return json.loads(line)


def work(name: str, size_name: str) -> None:
    """The worker's side: facts first, then the seconds of each turn that it is asked for."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    torch.manual_seed(0)
    size = SIZES[size_name]
    try:
        step, model, forward = CONTENDERS[name](size)
    except ImportError as error:
        print(json.dumps({"absent": f"{error}"}), file=answers)
        return
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"parameters": parameters, "flops": forward_flops(forward, size)}), file=answers)
    for line in sys.stdin:
        begun = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(json.dumps({"seconds": time.perf_counter() - begun}), file=answers)


def compare(size: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """A row of facts, images per second and ratios for each contender; {'absent': why} for those that are."""
    workers = [Worker(name, size, options.threads) for name in options.contenders]
    present = [worker for worker in workers if "absent" not in worker.facts]
    rates: dict[str, list[float]] = {worker.name: [] for worker in present}
    rounds = options.warm_up + options.rounds
    for turn in range(rounds):
        for worker in present if turn % 2 == 0 else reversed(present):
            seconds = worker.seconds(options.steps_per_turn)
            if turn >= options.warm_up:
                rates[worker.name].append(SIZES[size].batch * options.steps_per_turn / seconds)
        console.print(f"{size}: round {turn + 1} of {rounds}", style="dim")
    for worker in workers:
        worker.close()
    return {worker.name: {**worker.facts, **_figures(worker.name, rates)} for worker in workers}


def _figures(name: str, rates: dict[str, list[float]]) -> dict[str, Any]:
    if name not in rates:
        return {}
    ratios = {
        ours: [mine / its for mine, its in zip(rates[ours], rates[name], strict=True)]
        for ours in OURS
        if ours in rates and ours != name
    }
    faster = {ours: {"median": median(r), "range": [min(r), max(r)]} for ours, r in ratios.items()}
    return {"images_per_second": median(rates[name]), "faster_by": faster, "rounds": rates[name]}


def table(size: str, rows: dict[str, Any]) -> Table:
    """Rates, and how many times as fast each of ours is: the median of the rounds and their range."""
    pixels, batch = SIZES[size].pixels, SIZES[size].batch
    channels = SIZES[size].image_channels
    shown = Table(title=f"{size}: one training step, {pixels}x{pixels}x{channels}, batch {batch}")
    ours = [name for name in OURS[:2] if name in rows]
    shown.add_column("contender")
    for column in ("M parameters", "GFLOP/image", "images/s", *(f"{name} is faster by" for name in ours)):
        shown.add_column(column, justify="right")
    reference = next((rows[name] for name in ours), None)
    for name, row in rows.items():
        if "absent" in row:
            shown.add_row(name, "absent", *[""] * (2 + len(ours)))
            continue
        sizes = (_beside(row, reference, "parameters", 1e6), _beside(row, reference, "flops", 1e9))
        shown.add_row(name, *sizes, f"{row['images_per_second']:.1f}", *(_ratio(row["faster_by"], o) for o in ours))
    return shown


def _beside(row: dict[str, Any], reference: dict[str, Any] | None, key: str, unit: float) -> str:
    difference = f" ({row[key] / reference[key] - 1:+.1%})" if reference else ""
    return f"{row[key] / unit:.3f}{difference}"


def _ratio(faster_by: dict[str, Any], ours: str) -> str:
    if ours not in faster_by:
        return ""
    low, high = faster_by[ours]["range"]
    return f"{faster_by[ours]['median']:.2f} ({low:.2f}-{high:.2f})"


def to_install(rows: dict[str, Any]) -> list[str]:
    """One pip line for each absent peer."""
    absent = {name.split(" + ")[0]: row["absent"] for name, row in rows.items() if "absent" in row}
    return [f"{peer} is absent ({why}): pip install {INSTALL[peer]}" for peer, why in absent.items()]


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    installed = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    return {
        "cpu": model.split(":")[-1].strip(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "onednn_max_isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "default"),
        "torch": torch.__version__,
        "versions": {name: installed.get(name, "absent") for name in ("unnoise", *PEERS)},
        "threads": options.threads,
        "rounds": options.rounds,
        "steps_per_turn": options.steps_per_turn,
        "load_before": os.getloadavg()[0],
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="images per second of one training step, unnoise and its peers")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds, after the warm-up")
    parser.add_argument("--steps-per-turn", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="two rounds of one step: does it run, not how fast")
    options = parser.parse_args()
    options.warm_up = WARM_UP
    if options.quick:
        options.rounds, options.steps_per_turn, options.warm_up = 2, 1, 1
    return options


def main() -> None:
    options, console = parse(), Console(stderr=True)
    found = conditions(options)
    results = {size: compare(size, options, console) for size in options.sizes}
    for size, rows in results.items():
        Console(width=max(console.width, WIDTH)).print(table(size, rows))
        for line in to_install(rows):
            console.print(line, highlight=False, markup=False)
    if options.json:
        options.json.write_text(json.dumps({"conditions": found, "sizes": results}, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:4])
    else:
        main()
