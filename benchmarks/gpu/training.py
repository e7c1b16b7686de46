"""Images a second of a training step, and where a step's time goes; written after every contender."""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from statistics import median
from typing import Any

import torch
from machine import synchronise
from record import Recording
from steps import LIBRARIES, SIZES, SMALL_SIZES, Contender, How, Size

BACKWARD = 3
"""FLOPs of a step over those of its forward pass."""
TURN = 0.3
"""Seconds of a contender's turn, about."""
COMPILING = 75.0
"""Seconds that compiling may take: with less time left it is not begun."""

PLAIN = [
    How("unnoise", "bf16", channels_last=True, compile="regions"),
    How("unnoise", "bf16"),
    How("unnoise", "bf16", channels_last=True),
    How("diffusers", "bf16"),
    How("unnoise", "tf32"),
    How("diffusers", "tf32"),
    How("unnoise", "fp32"),
    How("diffusers", "fp32"),
    How("denoising-diffusion-pytorch", "bf16"),
    How("denoising-diffusion-pytorch", "fp32"),
]
COMPILED = [
    How("unnoise", "bf16", channels_last=True, compile="whole"),
    How("diffusers", "bf16", channels_last=True, compile="whole"),
]
CASES = {"wide": PLAIN + COMPILED, "medium": PLAIN + COMPILED, "small": PLAIN, "tiny": [PLAIN[5], PLAIN[6], PLAIN[9]]}
KINDS = {
    "convolutions and products": ("conv", "gemm", "cutlass", "xmma", "wgrad", "dgrad", "implicit", "nvjet", "mm_"),
    "attention": ("flash", "attention", "fmha", "sdpa"),
    "normalisation": ("norm", "rowwise", "var_mean"),
    "optimizer and average": ("multi_tensor", "foreach", "adam", "lpnorm"),
    "compiled elementwise": ("triton",),
    "copies and layouts": ("copy", "memcpy", "memset", "nchw", "nhwc", "transpose", "catarray", "cat"),
    "other elementwise": ("elementwise", "vectorized", "reduce"),
}


def main(recording: Recording, names: list[str] | None = None) -> None:
    """Every size in turn, or those of `names`; within a size the contenders take turns."""
    device = recording.device
    for name, size in (SMALL_SIZES if recording.small else SIZES).items():
        if names and name not in names:
            continue
        there: dict[How, Contender] = {}
        rows: dict[str, Any] = {}
        for how in CASES[name]:
            if recording.left() < (COMPILING if how.compile != "off" else 6.0):
                rows[str(how)] = {"absent": "no time was left"}
                continue
            made = prepared(size, how, device)
            rows[str(how)] = made if isinstance(made, dict) else {"first_steps_seconds": made[1]}
            if not isinstance(made, dict):
                there[how] = made[0]
        race(size, there, rows, recording)
        recording.write(name, {"size": vars(size), "rows": rows, "profile": profile(there, device)})
        there.clear()
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def prepared(size: Size, how: How, device: str) -> tuple[Contender, float] | dict[str, str]:
    """The contender after its first three steps, and how long they took; {'absent': why} where it cannot be had."""
    torch.manual_seed(0)
    begun = time.perf_counter()
    try:
        made = LIBRARIES[how.library](size, how, device)
        for _ in range(3):
            made.step()
    except (ImportError, RuntimeError) as error:
        return {"absent": str(error).strip().splitlines()[0][:200]}
    synchronise(device)
    return made, time.perf_counter() - begun


def race(size: Size, there: dict[How, Contender], rows: dict[str, Any], recording: Recording) -> None:
    """Rounds of turns; a turn is as many steps as take TURN seconds."""
    device, rates = recording.device, defaultdict(list)
    steps = {how: max(1, round(TURN / timed(made, 2, device) * 2)) for how, made in there.items()}
    for turn in range(2 if recording.small else 5):
        for how in list(there) if turn % 2 else list(there)[::-1]:
            taken = timed(there[how], 1 if recording.small else steps[how], device)
            rates[how].append(size.batch * (1 if recording.small else steps[how]) / taken)
    for how, made in there.items():
        images = median(rates[how])
        rows[str(how)] |= {
            "images_per_second": images,
            "range": [min(rates[how]), max(rates[how])],
            "parameters": made.parameters,
            "gflop_per_image_forward": made.forward_flops / 1e9,
            "tflops": images * BACKWARD * made.forward_flops / 1e12,
        }


def timed(made: Contender, steps: int, device: str) -> float:
    synchronise(device)
    begun = time.perf_counter()
    for _ in range(steps):
        made.step()
    synchronise(device)
    return time.perf_counter() - begun


def profile(there: dict[How, Contender], device: str) -> dict[str, Any]:
    """Of the fastest of ours: the fraction of the device's time by kind of kernel, and the longest kernels."""
    ours = [how for how in there if how.library == "unnoise"]
    if not ours or device != "cuda":
        return {}
    best = min(ours, key=lambda how: timed(there[how], 2, device))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        timed(there[best], 3, device)
    kernels = [(event.key, event.self_device_time_total) for event in profiler.key_averages()]
    total = sum(taken for _, taken in kernels) or 1.0
    kinds: dict[str, float] = defaultdict(float)
    for name, taken in kernels:
        kinds[kind_of(name)] += taken / total
    longest = sorted(kernels, key=lambda kernel: -kernel[1])[:12]
    return {
        "of": str(best),
        "kinds": dict(sorted(kinds.items(), key=lambda kind: -kind[1])),
        "kernels": [{"name": name[:90], "fraction": taken / total} for name, taken in longest],
    }


def kind_of(kernel: str) -> str:
    """By the words in its name."""
    name = kernel.lower()
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")
