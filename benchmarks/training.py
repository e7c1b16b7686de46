"""Images per second of one full training step: unnoise against other libraries, in turns.

Each contender lives in a process of its own (allocator settings are a process's), and only one works at a time. A round
gives each a turn of a few steps; the first rounds warm up. Medians over rounds, and the median of the ratios of the same
round, which the machine's moods hit alike.

    python benchmarks/training.py [--sizes small large] [--rounds 7] [--steps 3] [--json FILE]

Peers are the extra `bench`; one that cannot be imported is reported as absent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

WARM_UP = 2


class Worker:
    """A contender in a process of its own, waiting on its standard input between turns."""

    def __init__(self, name: str, size: str, threads: int) -> None:
        environment = {
            **os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        command = [sys.executable, __file__, "--worker", name, size]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.facts: dict[str, Any] = self._read()

    def seconds(self, steps: int) -> float:
        assert self.process.stdin is not None
        print(steps, file=self.process.stdin, flush=True)
        return self._read()["seconds"]

    def close(self) -> None:
        self.process.communicate("")

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            return {"absent": self.process.stderr.read().strip().splitlines()[-1]}
        return json.loads(line)


def work(name: str, size_name: str) -> None:
    """The worker's side: facts first, then the seconds of each turn that it is asked for."""
    import torch

    sys.path.insert(0, str(Path(__file__).parent))
    from contenders import CONTENDERS, SIZES, forward_flops

    torch.manual_seed(0)
    size = SIZES[size_name]
    step, model, forward = CONTENDERS[name](size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"parameters": parameters, "flops": forward_flops(forward, size)}), flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)


def compare(size: str, names: list[str], rounds: int, steps: int, threads: int, console: Console) -> dict[str, Any]:
    from contenders import SIZES

    batch = SIZES[size].batch
    workers = {name: Worker(name, size, threads) for name in names}
    present = {name: worker for name, worker in workers.items() if "absent" not in worker.facts}
    rates: dict[str, list[float]] = {name: [] for name in present}
    for turn in range(WARM_UP + rounds):
        for name, worker in present.items():
            seconds = worker.seconds(steps)
            if turn >= WARM_UP:
                rates[name].append(batch * steps / seconds)
        console.print(f"{size}: round {turn + 1} of {WARM_UP + rounds}", style="dim")
    for worker in present.values():
        worker.close()
    rows = {}
    for name, worker in workers.items():
        if name not in present:
            rows[name] = worker.facts
            continue
        ratios = [ours / theirs for ours, theirs in zip(rates["unnoise"], rates[name], strict=True)]
        rows[name] = {
            **worker.facts,
            "images_per_second": median(rates[name]),
            "unnoise_is_faster_by": median(ratios),
            "range": [min(ratios), max(ratios)],
        }
    return rows


def table(size: str, rows: dict[str, Any]) -> Table:
    shown = Table(title=f"{size}: one training step, 32x32, batch 64")
    for column in ("contender", "M parameters", "GFLOP/image", "images/s", "unnoise is faster by", "range"):
        shown.add_column(column, justify="left" if column == "contender" else "right")
    for name, row in rows.items():
        if "absent" in row:
            shown.add_row(name, "absent:", row["absent"][:60])
            continue
        low, high = row["range"]
        shown.add_row(
            name,
            f"{row['parameters'] / 1e6:.3f}",
            f"{row['flops'] / 1e9:.3f}",
            f"{row['images_per_second']:.1f}",
            f"{row['unnoise_is_faster_by']:.2f}",
            f"{low:.2f}-{high:.2f}",
        )
    return shown


def conditions(threads: int) -> dict[str, Any]:
    import torch

    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return {
        "cpu": model.split(":")[-1].strip(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "onednn_max_isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "default"),
        "torch": torch.__version__,
        "threads": threads,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from contenders import CONTENDERS, SIZES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(stderr=True)
    names = list(dict.fromkeys(["unnoise", *options.contenders]))
    results = {
        size: compare(size, names, options.rounds, options.steps, options.threads, console) for size in options.sizes
    }
    for size, rows in results.items():
        Console().print(table(size, rows))
    if options.json:
        options.json.write_text(json.dumps({"conditions": conditions(options.threads), "sizes": results}, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:4])
    else:
        main()
