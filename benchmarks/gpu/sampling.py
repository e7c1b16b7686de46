"""Seconds for 50,000 images of 32x32 at 10, 50 and 1,000 network calls, with CUDA graphs and without.

Where the time left does not allow 50,000, fewer are drawn; the figure is then the rate, and says how many were drawn.
"""

from __future__ import annotations

import time
from typing import Any

from machine import synchronise
from record import Recording

from unnoise.models.assembly import build_model
from unnoise.samplers import DDIM
from unnoise.sampling.batches import sample_in_batches

IMAGES = 50_000
BATCH = 1000
CALLS = (10, 50, 1000)
FEW_CALLS = (2, 4)
NETWORKS: dict[str, dict[str, Any]] = {
    "6.5 M": {"channels": 64, "multipliers": (1, 2, 2), "blocks": 2, "attention": (16,), "heads": 2},
    "DDPM's 35.7 M": {"channels": 128, "multipliers": (1, 2, 2, 2), "blocks": 2, "attention": (16,)},
}
TINY = {"tiny": {"channels": 8, "multipliers": (1, 2), "blocks": 1}}


def main(recording: Recording) -> None:
    """Network by network, the fewest calls first."""
    networks = TINY if recording.small else NETWORKS
    cases = [
        (name, calls, compile)
        for calls in (FEW_CALLS if recording.small else CALLS)
        for name in networks
        for compile in ("auto", "off")
    ]
    rows: list[dict[str, Any]] = []
    for place, (name, calls, compile) in enumerate(cases):
        if recording.left() < 5:
            break
        part = 0.5 if place == 0 else 1 / (len(cases) - place)
        allowed = part * recording.left() if recording.device == "cuda" else 5.0
        rows.append({"network": name, "calls": calls, **measured(networks[name], calls, compile, recording, allowed)})
        recording.write("rows", rows)


def measured(network: dict[str, Any], calls: int, compile: str, recording: Recording, allowed: float) -> dict[str, Any]:
    """The rate of as many images as take `allowed` seconds, 50,000 at most. compile: 'auto' replays CUDA graphs."""
    device = recording.device
    model = build_model({"network": {"kind": "unet", **network}}, (3, 32, 32), 0).to(device).eval()
    batch = 4 if recording.small else BATCH

    def draw(count: int, steps: int) -> float:
        begun = time.perf_counter()
        sample_in_batches(model, range(count), None, DDIM(steps=steps), None, batch_size=batch, compile=compile)
        synchronise(device)
        return time.perf_counter() - begun

    draw(batch, 2)
    each = draw(batch, 5) / 5 / batch
    most = batch if recording.small else IMAGES
    count = max(batch, min(most, int(allowed / (1.3 * each * calls)) // batch * batch))
    seconds = draw(count, calls)
    return {
        "captured": compile == "auto" and device == "cuda",
        "images": count,
        "batch": batch,
        "seconds": seconds,
        "seconds_for_50000": seconds / count * IMAGES,
        "measured_whole": count == IMAGES,
    }
