"""The GPU kit: correctness, training steps, sampling and pictures on this device, within a time limit.

    python benchmarks/gpu/kit.py [--minutes 12] [--only correctness training ...] [--source SOURCE] [--small]

Every part runs in a process of its own and writes its figures as it goes to benchmarks/results/gpu/PART.json; a part
that fails or comes to the end of its time leaves what it has measured. `--small` is the form for a CPU and for tests.
`python benchmarks/gpu/report.py` makes docs/gpu.md of the figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "gpu"
PARTS = {"machine": 0.05, "correctness": 0.25, "training": 0.4, "sampling": 0.3, "pictures": 1.0}
"""Of the time that is left when a part begins, the fraction that it may take."""
GRACE = 20.0
"""Seconds that a part may go on beyond its time before it is stopped."""


def main() -> int:
    options = parse()
    if options.part:
        return run_part(options)
    end = time.time() + 60 * options.minutes
    status = 0
    for part in options.only:
        fraction = 1.0 if part == options.only[-1] else PARTS[part]
        deadline = time.time() + fraction * max(0.0, end - time.time())
        status |= started(part, deadline, options)
    return status


def started(part: str, deadline: float, options: argparse.Namespace) -> int:
    """Runs a part in a process of its own; 0 when it ended well."""
    print(f"== {part}, {deadline - time.time():.0f} s", flush=True)
    command = [sys.executable, __file__, "--part", part, "--deadline", str(deadline), "--out", str(options.out)]
    command += ["--small"] if options.small else []
    command += ["--source", options.source] if options.source else []
    command += ["--sizes", *options.sizes] if options.sizes else []
    try:
        return subprocess.run(command, timeout=max(5.0, deadline - time.time()) + GRACE).returncode
    except subprocess.TimeoutExpired:
        print(f"{part} was stopped at the end of its time", flush=True)
        return 0


def run_part(options: argparse.Namespace) -> int:
    """The part, in this process."""
    import torch
    from machine import conditions
    from record import Recording

    device = "cuda" if torch.cuda.is_available() else "cpu"
    recording = Recording(options.out / f"{options.part}.json", device, options.deadline, options.small)
    if options.part == "machine":
        recording.write("conditions", conditions(device, options.small))
    elif options.part == "pictures":
        import_module("pictures").main(recording, options.source, keep=not options.small)
    elif options.part == "training":
        import_module("training").main(recording, options.sizes)
    else:
        import_module(options.part).main(recording)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="correctness and speed of unnoise on this device")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--source", help="what the pictures are trained on: by default cifar10")
    parser.add_argument("--sizes", nargs="+", help="of the networks whose training steps are measured: all")
    parser.add_argument("--small", action="store_true", help="a form that a CPU finishes in minutes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
