"""Kills trainings with SIGKILL at random moments and compares what they end in with trainings that were left alone.

    python tools/kill_trainings.py --kills 50

Every recipe of RECIPES is trained twice with a tiny network on the embedded digits and a checkpoint at each step: once
without interruption, once by processes that are killed and started again with the same command until enough kills have
been spent on it. The weights, averages and optimizer states of the last checkpoints must be the same bits, and no step
of metrics.jsonl may be missing or there twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import torch

from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.metrics_file import read_metrics
from unnoise.training.train import train

UNET = {"model.network.channels": 8, "model.network.multipliers": [1], "model.network.attention": []}
RECIPES: dict[str, dict[str, object]] = {
    "ddpm-digits": {**UNET, "model.network.dropout": 0.1},
    "ddpm-class": UNET,
    "iddpm": UNET,
    "edm": UNET,
    "rectified-flow": {**UNET, "data.flip": True},
    "consistency": UNET,
    "vae": {"model.channels": 8},
    "gan": {"model.channels": 8, "objective.channels": 8},
}
COMMON = {
    "train.batch_size": 8,
    "train.samples": 0,
    "train.save_every": 0,
    "train.log_every": 1,
    "train.precision": "fp32",
    "data.limit": 200,
}
LONGEST = 600.0


def start(recipe: str, out: Path, steps: int) -> int:
    """A process of its own that trains, or goes on; its id. It is forked, so that torch is loaded only once."""
    process = os.fork()
    if process:
        return process
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    status = 1
    try:
        train("digits", recipe, out, steps=steps, overrides={**COMMON, **RECIPES[recipe]}, device="cpu")
        status = 0
    finally:
        os._exit(status)


def finish(recipe: str, out: Path, steps: int) -> None:
    _, status = os.waitpid(start(recipe, out, steps), 0)
    if status:
        raise SystemExit(f"{recipe} ended with {status}")


def kill_once(recipe: str, out: Path, steps: int, draws: random.Random) -> int:
    """Starts or resumes a training, and kills it a random time after it has begun to write; the step it had reached."""
    before = newest(out)
    process = start(recipe, out, steps)
    deadline = time.monotonic() + LONGEST
    while newest(out) <= before and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(draws.random() * 0.3)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"{recipe} ended by itself with {status}")
    return newest(out)


def newest(out: Path) -> int:
    found = checkpoints(out / "checkpoints")
    return found[-1].step if found else 0


def differing(one: Path, other: Path) -> list[str]:
    """The files of the last checkpoints that are not the same bits, and the run's log where it has gaps."""
    left, right = (checkpoints(run / "checkpoints")[-1] for run in (one, other))
    files = [name for name, digest in left.state()["files"].items() if right.state()["files"].get(name) != digest]
    steps = [line["step"] for line in read_metrics(other) if "loss" in line]
    whole = steps == list(range(1, right.step + 1)) and left.step == right.step
    return files if whole else [*files, "metrics.jsonl"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--more-steps", type=int, default=3, help="steps after the last kill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    draws, failures = random.Random(options.seed), 0
    for index, recipe in enumerate(RECIPES):
        kills = options.kills // len(RECIPES) + (index < options.kills % len(RECIPES))
        with tempfile.TemporaryDirectory() as folder:
            killed, whole = Path(folder) / "killed", Path(folder) / "whole"
            reached = [kill_once(recipe, killed, 10**6, draws) for _ in range(kills)]
            end = newest(killed) + options.more_steps
            finish(recipe, killed, end)
            finish(recipe, whole, end)
            wrong = differing(whole, killed)
        failures += bool(wrong)
        row = {"recipe": recipe, "kills": kills, "at": reached, "steps": end, "differing": wrong}
        print(json.dumps(row), flush=True)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
