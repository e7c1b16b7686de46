"""Seconds per image of our samplers and of other libraries' loops around the same network, in turns; and how much of
it is spent outside the network.

    python benchmarks/sampling.py [--network small] [--batches 1 16 64] [--steps 10 50] [--rounds 5] [--out FILE]

The network is our U-Net, untrained, in single precision unless --precision bf16; every loop calls the same module,
which adds up its own seconds, so what is left is the loop's. A second table has a network that answers at once. Writes
FILE.json and FILE.md. Use a quiet machine, or one thread and --clock cpu. Peers that are missing are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from sampling_loops import LOOPS, MORE, Instant, Loop, Shape, Timed, rival
from unnoise.networks import UNet
from unnoise.runtime.cpu import keep_pages
from unnoise.runtime.precision import computing_in

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""The second leaves out what other programs take; with one thread it is what a quiet machine would show."""
PEERS = ("diffusers", "denoising-diffusion-pytorch")


@dataclass(frozen=True)
class Size:
    """A U-Net, with attention at half its resolution, and the images it is for."""

    channels: int
    multipliers: tuple[int, ...]
    blocks: int
    shape: Shape

    def network(self) -> UNet:
        (colours, *size), torch_seed = self.shape, torch.manual_seed(0)
        made = UNet(
            colours, colours, (size[0], size[1]), channels=self.channels, multipliers=self.multipliers,
            blocks=self.blocks, attention=(size[0] // 2,),
        )  # fmt: skip
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch_seed))
        return made.eval()


SIZES = {
    "tiny": Size(16, (1, 2), 1, (1, 16, 16)),
    "small": Size(24, (1, 2, 2), 2, (1, 32, 32)),
    "large": Size(64, (1, 2, 2), 2, (3, 32, 32)),
}


@dataclass
class Contender:
    """A loop, the network in it, and what each round took: seconds in all and outside the network."""

    loop: Loop
    network: Timed
    total: list[float]
    outside: list[float]

    def turn(self, batch: int, keep: bool) -> None:
        self.network.seconds = 0.0
        begun = self.network.clock()
        self.loop(range(batch))
        total = self.network.clock() - begun
        if keep:
            self.total.append(total)
            self.outside.append(total - self.network.seconds)


def contenders(
    loops: dict[str, Callable[[nn.Module, Shape, int], Loop]],
    network: nn.Module,
    shape: Shape,
    steps: int,
    clock: Callable[[], float],
) -> dict[str, Contender]:
    """Those whose libraries are there."""
    found = {}
    for name, make in loops.items():
        timed = Timed(network, clock)
        try:
            found[name] = Contender(make(timed, shape, steps), timed, [], [])
        except ImportError as error:
            print(f"{name} is absent: {error}")
    return found


def race(field: dict[str, Contender], batch: int, steps: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Rounds in turns, the first of them to warm up; medians, and ratios to our loop of the same round."""
    for turn in range(rounds + 1):
        for contender in field.values() if turn % 2 else reversed(field.values()):
            contender.turn(batch, keep=turn > 0)
    return {name: _figures(name, field, batch, steps) for name in field}


def _figures(name: str, field: dict[str, Contender], batch: int, steps: int) -> dict[str, Any]:
    here, ours = field[name], field[rival(name)]
    slower = [total / mine for total, mine in zip(here.total, ours.total, strict=True)]
    return {
        "seconds_per_image": median(here.total) / batch,
        "slower_than_ours": median(slower),
        "range": [min(slower), max(slower)],
        "outside": median(out / total for out, total in zip(here.outside, here.total, strict=True)),
        "outside_us_per_step": median(here.outside) / steps * 1e6,
        "least_us_per_step": min(here.outside) / steps * 1e6,
        "rounds": [total / batch for total in here.total],
    }


def real(options: argparse.Namespace) -> dict[str, Any]:
    """steps -> batch -> contender -> figures, with a network that computes."""
    size = SIZES[options.network]
    network = size.network()
    with computing_in("cpu", options.precision):
        return {
            str(steps): {
                str(batch): race(
                    contenders(LOOPS, network, size.shape, steps, CLOCKS[options.clock]), batch, steps, options.rounds
                )
                for batch in options.batches
            }
            for steps in options.steps
        }


def instant(options: argparse.Namespace) -> dict[str, Any]:
    """batch -> contender -> figures of 50 steps at 32x32x3 with a network that takes no time."""
    shape, steps = (3, 32, 32), 50
    return {
        str(batch): race(
            contenders(LOOPS | MORE, Instant((batch, *shape)), shape, steps, CLOCKS[options.clock]),
            batch,
            steps,
            4 * options.rounds,
        )
        for batch in (1, 16)
    }


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    installed = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    parameters = sum(parameter.numel() for parameter in SIZES[options.network].network().parameters())
    return {
        "cpu": model.split(":")[-1].strip(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "versions": {name: installed.get(name, "absent") for name in PEERS},
        "network": options.network,
        "parameters": parameters,
        "shape": SIZES[options.network].shape,
        "precision": options.precision,
        "clock": options.clock,
        "rounds": options.rounds,
        "load_before": os.getloadavg()[0],
    }


def markdown(found: dict[str, Any]) -> str:
    """Both tables."""
    how, lines = found["conditions"], []
    lines += [
        f"{how['parameters'] / 1e6:.2f} M parameters, {'x'.join(map(str, how['shape']))}, {how['precision']}, "
        f"{how['threads']} thread(s) of {how['cpu']}, torch {how['torch']}, {how['clock']} time, "
        f"medians of {how['rounds']} rounds.",
        "",
        "| loop | steps | batch | seconds per image | times ours (range) | outside the network | us a step (least) |",
        "|---|---|---|---|---|---|---|",
    ]
    for steps, batches in found["real"].items():
        for batch, rows in batches.items():
            lines += [f"| {name} | {steps} | {batch} | {_row(row)} |" for name, row in rows.items()]
    lines += [
        "",
        "With a network that answers at once, 50 steps at 3x32x32, microseconds a step outside it, median and least:",
        "",
    ]
    lines += ["| loop | batch 1 | batch 16 |", "|---|---|---|"]
    one, many = found["instant"].values()
    lines += [f"| {name} | {_microseconds(one[name])} | {_microseconds(many[name])} |" for name in one]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any]) -> str:
    low, high = row["range"]
    return (
        f"{row['seconds_per_image']:.4f} | {row['slower_than_ours']:.2f} ({low:.2f}-{high:.2f}) | "
        f"{row['outside']:.1%} | {_microseconds(row)}"
    )


def _microseconds(row: dict[str, Any]) -> str:
    return f"{row['outside_us_per_step']:.0f} ({row['least_us_per_step']:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="seconds per image of sampling loops around the same network")
    parser.add_argument("--network", choices=SIZES, default="tiny")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: the process's own, on a busy machine")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_pages()
    found = {"conditions": conditions(options), "instant": instant(options), "real": real(options)}
    print(markdown(found))
    if options.out:
        options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
        options.out.with_suffix(".md").write_text(markdown(found))


if __name__ == "__main__":
    main()
