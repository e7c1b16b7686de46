"""Damaged files and odd settings for every reader.  python tools/fuzz.py --minutes 60 [--only zip,npz] [--seed 0]

Each job writes an input that hypothesis draws (a sound file with a few bytes changed, cut, doubled or moved, or noise)
and opens it as a user would. It may open, or be refused with a line (`UserError`, or what the disk says: `OSError`).
Anything else is a crash: its input is kept in fuzz/. Also crashes: an input that takes over a minute, or 8 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

if __name__ != "__main__":
    sys.path.insert(0, str(Path(__file__).parent))  # for the tests; a script finds its neighbours by itself

from fuzz_attempts import (
    autoencoder_read,
    cache_opened,
    imported,
    loaded,
    mask_read,
    opened_file,
    opened_folder,
    planned,
    recipe_read,
    sampler_built,
    sampler_parsed,
    statistics_read,
    tensors_read,
    tuned,
)
from fuzz_folders import (
    autoencoder_files,
    cache_file,
    changes,
    pipeline_files,
    run_files,
    tiny_autoencoder_files,
    tuned_files,
)
from fuzz_inputs import (
    archives_of_arrays,
    arrays,
    assignments,
    captions,
    cifar,
    damaged,
    idx,
    metadata,
    odd_arrays,
    pictures,
    recipes,
    sampler_specs,
    sampler_texts,
    statistics,
    tables,
    tars,
    zips,
)

ROOT = Path(__file__).resolve().parents[1]
SECONDS, BYTES = 60, 8 * 2**30
"""What one input may cost at most."""


class TooSlow(Exception):
    """An input took longer than it may."""


@dataclass
class Tally:
    """inputs; how many opened, how many were refused; crashes: kind -> how often; kept: kind -> one such input."""

    inputs: int = 0
    opened: int = 0
    refused: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """inputs: what is drawn, given the sound files; attempt: writes the input into an empty folder and opens it."""

    inputs: Callable[[], st.SearchStrategy[Any]]
    attempt: Callable[[Path, Any], object]


JOBS: dict[str, Job] = {
    "pictures": Job(lambda: damaged(pictures()), opened_folder("b.png", "a.png")),
    "zip": Job(lambda: damaged(zips()), opened_file("set.zip")),
    "tar": Job(lambda: damaged(tars()), opened_file("set.tar")),
    "npz": Job(lambda: damaged(archives_of_arrays()), opened_file("set.npz")),
    "odd npz": Job(odd_arrays, opened_file("set.npz")),
    "npy": Job(lambda: damaged(arrays()), opened_file("set.npy")),
    "idx": Job(lambda: damaged(idx()), opened_file("train-images-idx3-ubyte")),
    "cifar": Job(lambda: damaged(cifar()), opened_folder("data_batch_1.bin")),
    "metadata": Job(lambda: damaged(metadata()), opened_folder("metadata.jsonl", "a.png", "b.png")),
    "recipe": Job(recipes, recipe_read),
    "set": Job(assignments, planned),
    "sampler": Job(sampler_specs, sampler_built),
    "sampler text": Job(sampler_texts, sampler_parsed),
    "csv": Job(lambda: damaged(tables()), opened_folder("metadata.csv", "a.png", "b.png")),
    "caption": Job(lambda: damaged(captions()), opened_folder("a.txt", "a.png", "b.png")),
    "map": Job(lambda: damaged(pictures()), opened_folder("a.mask.png", "a.png")),
    "mask": Job(lambda: damaged(pictures()), mask_read),
    "statistics": Job(lambda: damaged(statistics()), statistics_read),
    "cache file": Job(lambda: damaged((cache_file(),)), tensors_read),
    "cache": Job(lambda: st.tuples(st.integers(0, 9), st.binary(max_size=99)), cache_opened),
    "run": Job(changes(run_files), loaded),
    "tuned": Job(changes(tuned_files), tuned),
    "diffusers": Job(changes(pipeline_files), imported),
    "autoencoder": Job(changes(autoencoder_files), autoencoder_read(autoencoder_files)),
    "taesd": Job(changes(tiny_autoencoder_files), autoencoder_read(tiny_autoencoder_files)),
}


# Running


def fuzzed(job: Job, inputs: int, number: int, tally: Tally) -> None:
    """Draws so many inputs, attempts each and counts what happened."""

    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(number)
    @given(job.inputs())
    def attempt(given: Any) -> None:
        tally.inputs += 1
        crash = outcome(job, given, tally)
        if crash is not None:
            tally.crashes[crash] += 1
            tally.kept.setdefault(crash, given)

    attempt()


def outcome(job: Job, given: Any, tally: Tally) -> str | None:
    """What crashed, and where; None where the input opened or was refused."""
    from unnoise.errors import UserError

    folder = Path(tempfile.mkdtemp())
    try:
        with silence(), at_most(SECONDS):
            job.attempt(folder, given)
        tally.opened += 1
    except (UserError, OSError):
        tally.refused += 1
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "unnoise" in Path(frame.filename).parts] or where
        return f"{type(error).__name__} in {Path(ours[-1].filename).name}, {ours[-1].name}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raises TooSlow after so many seconds of this process's time."""

    def stop(*_: object) -> None:
        raise TooSlow(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def keep(name: str, kind: str, given: Any) -> Path:
    """Writes a crashing input to fuzz/."""
    folder = ROOT / "fuzz"
    folder.mkdir(exist_ok=True)
    data = given if isinstance(given, bytes) else repr(given).encode()
    path = folder / f"{name}-{abs(hash(kind)) % 10**6}"
    path.write_bytes(data)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", default=",".join(JOBS), help="jobs, by name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--round", type=int, default=50, help="inputs of a job before the next job's turn")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    names = options.only.split(",")
    tallies = {name: Tally() for name in names}
    end, number = time.monotonic() + 60 * options.minutes, options.seed
    while time.monotonic() < end:
        for name in names:
            if time.monotonic() < end:
                fuzzed(JOBS[name], options.round, number, tallies[name])
        number += 1
    report(tallies)
    sys.exit(1 if any(tally.crashes for tally in tallies.values()) else 0)


def report(tallies: dict[str, Tally]) -> None:
    print("| job | inputs | opened | refused | crashed |\n|---|---|---|---|---|")
    for name, tally in tallies.items():
        print(f"| {name} | {tally.inputs} | {tally.opened} | {tally.refused} | {tally.crashes.total()} |")
    for name, tally in tallies.items():
        for kind, count in tally.crashes.most_common():
            print(f"{name}: {count} x {kind}; {keep(name, kind, tally.kept[kind])}")


if __name__ == "__main__":
    main()
