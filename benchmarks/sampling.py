"""Microseconds a sampling step spends outside the network: our samplers beside diffusers' schedulers, in turns.

    python benchmarks/sampling.py [--steps 50] [--batch 1] [--rounds 7] [--json FILE]

The network is a stand-in that answers at once with a fixed tensor, so what is left is the sampler's own arithmetic; for
ours that includes turning eps into (x_0, eps). Use a quiet machine. A missing diffusers leaves its rows out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from unnoise.process.denoiser import Denoised
from unnoise.process.parametrization import Eps
from unnoise.process.schedule import LinearBetas
from unnoise.samplers import DDIM, AdamsBashforth, DPMSolver, UniPC

OURS = {"DDIM": DDIM, "DPM-Solver++ 2M": DPMSolver, "UniPC-2": UniPC, "Adams-Bashforth 2": AdamsBashforth}
PEERS = {
    "DDIM": "DDIMScheduler",
    "DPM-Solver++ 2M": "DPMSolverMultistepScheduler",
    "UniPC-2": "UniPCMultistepScheduler",
}


class Instant:
    """A denoiser whose network takes no time."""

    def __init__(self, like: Tensor) -> None:
        self.schedule, self.output = LinearBetas(), torch.randn_like(like)

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        return Eps().invert(self.schedule, self.output, x_t, t)


def ours(kind: type, x: Tensor, steps: int) -> Callable[[], None]:
    sampler, denoiser = kind(steps=steps), Instant(x)
    return lambda: _drop(sampler.run(denoiser, x))


def theirs(kind: str, x: Tensor, steps: int) -> Callable[[], None]:
    import diffusers  # type: ignore[import-not-found]

    scheduler, eps = getattr(diffusers, kind)(), torch.randn_like(x)

    def run() -> None:
        scheduler.set_timesteps(steps)
        now = x
        for t in scheduler.timesteps:
            now = scheduler.step(eps, t, now).prev_sample

    return run


def _drop(_: Tensor) -> None:
    """Discards a result."""


def main() -> None:
    parser = argparse.ArgumentParser(description="what a sampling step spends outside the network")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    x = torch.randn(options.batch, 3, 32, 32)
    loops = {f"unnoise {name}": ours(kind, x, options.steps) for name, kind in OURS.items()}
    try:
        loops |= {f"diffusers {name}": theirs(kind, x, options.steps) for name, kind in PEERS.items()}
    except ImportError as error:
        print(f"absent ({error}): pip install diffusers")
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(options.rounds + 1):
        for name, loop in loops.items():
            begun = time.perf_counter()
            loop()
            if turn > 0:  # the first round fills caches
                taken[name].append((time.perf_counter() - begun) / options.steps * 1e6)
    for name, rounds in taken.items():
        print(f"{name:28s} {median(rounds):8.0f} microseconds a step ({min(rounds):.0f}-{max(rounds):.0f})")
    if options.json:
        options.json.write_text(json.dumps(taken, indent=1))


if __name__ == "__main__":
    main()
