"""What a large set costs: peak memory, the rate of the reader alone, and the time to the first step once it is packed.

    python benchmarks/big_data.py SOURCE [--stream] [--batches 2000]

Each part runs in a process of its own. Memory is private memory (RssAnon: what the kernel cannot take back) and all of
it (RSS, with the pages of the packed file that lie in the page cache); of the process and, while it packs, of the
decoding processes too. 'torch' is a process that has only imported torch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = ("torch", "pack", "read", "first_step")
EVERY = 0.05  # seconds between two looks at the memory
BATCH = 64


class Peak:
    """The peak of private and of all memory of this process and those that it started, in MiB."""

    def __init__(self) -> None:
        self.private = self.resident = self.with_children = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY):
            private, resident = _memory("self")
            self.private, self.resident = max(self.private, private), max(self.resident, resident)
            children = sum(_memory(child)[0] for child in _children())
            self.with_children = max(self.with_children, private + children)

    def found(self) -> dict[str, float]:
        named = {"private": self.private, "resident": self.resident, "private_with_children": self.with_children}
        return {f"peak_{name}_mib": round(value) for name, value in named.items()}


def _memory(process: str) -> tuple[float, float]:
    """(private, resident) MiB."""
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    except (OSError, ValueError):
        return 0.0, 0.0
    return tuple(int(lines.get(name, "0 kB").split()[0]) / 1024 for name in ("RssAnon", "VmRSS"))  # type: ignore[return-value]


def _children() -> list[str]:
    tasks = Path("/proc/self/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def torch_alone(asked: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.ones(2).sum()
    time.sleep(4 * EVERY)
    return {}


def pack(asked: argparse.Namespace) -> dict[str, Any]:
    images = _opened(asked)
    return {"images": len(images), "shape": images.shape, "bytes": images.pixels.nbytes}


def read(asked: argparse.Namespace) -> dict[str, Any]:
    from unnoise.data import Loader

    begun = time.perf_counter()
    loader = Loader(_opened(asked), BATCH, seed=0)
    loader.batch(0)
    opened, used = time.perf_counter() - begun, time.process_time()
    start = time.perf_counter()
    for step in range(1, asked.batches + 1):
        loader.batch(step)
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    count = asked.batches * BATCH
    return {
        "first_batch_seconds": round(opened, 2),
        "images_per_second": round(count / seconds),
        "images_per_processor_second": round(count / processor),
    }


def first_step(asked: argparse.Namespace) -> dict[str, Any]:
    import unnoise

    overrides = {"data.size": [28, 28], "data.channels": 1, "model.network.channels": 16, "train.batch_size": BATCH}
    if asked.stream:
        overrides["data.stream"] = True
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        unnoise.train(asked.source, "ddpm-digits", f"{folder}/run", steps=1, device="cpu", overrides=overrides)
    return {"first_step_seconds": round(time.perf_counter() - begun, 2)}


def _opened(asked: argparse.Namespace) -> Any:
    from unnoise.sources import open_source

    options = {"stream": True} if asked.stream else {}
    return open_source(asked.source, size=(28, 28), channels=1, **options)


RUN: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = dict(
    zip(PARTS, (torch_alone, pack, read, first_step), strict=True)
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--part", choices=PARTS)
    asked = parser.parse_args()
    if asked.part is None:
        for part in PARTS:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part], check=True)
        return
    begun = time.perf_counter()
    with Peak() as peak:
        found = RUN[asked.part](asked)
    times = os.times()
    seconds = {
        "seconds": round(time.perf_counter() - begun, 1),
        "processor_seconds": round(sum(times[:4]), 1),
    }
    print(json.dumps({"part": asked.part, "source": asked.source, **found, **seconds, **peak.found()}), flush=True)


if __name__ == "__main__":
    main()
