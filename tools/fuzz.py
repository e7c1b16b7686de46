"""Damaged files and odd settings for every reader.  python tools/fuzz.py --minutes 60 [--only zip,npz] [--seed 0]

Each job writes an input that hypothesis draws (a sound file with a few bytes changed, cut, doubled or moved, or noise)
and opens it as a user would. It may open, or be refused with a line (`UserError`, or what the disk says: `OSError`).
Anything else is a crash: its input is kept in fuzz/. Also crashes: an input that takes over a minute, or 8 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

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


# Inputs


@st.composite
def damaged(draw: st.DrawFn, sound: tuple[bytes, ...]) -> bytes:
    """One of the sound files after one to three accidents, or bytes without meaning."""
    if draw(st.integers(0, 15)) == 0:
        return draw(st.binary(max_size=300))
    data = draw(st.sampled_from(sound))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 32)))
        other = draw(_BYTES)
        written_over = data[:start] + other + data[start + len(other) :]
        data = draw(
            st.sampled_from(
                (
                    *[written_over] * 4,
                    data[:start] + other + data[end:],
                    data[:start] + data[end:],
                    data[:start],
                    data[start:] + data[:start],
                    data[:end] + data[start:end] * draw(st.integers(1, 9)) + data[end:],
                )
            )
        )
    return data


_BYTES = st.one_of(
    st.binary(min_size=1, max_size=16),
    st.sampled_from((b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"/../", b"\r\n", b"\x80")),
)

VALUES = st.one_of(
    st.integers(-3, 40),
    st.sampled_from((10**9, -(10**9), 2**63, 2**70)),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-2, 9), st.text(max_size=3), st.floats()), max_size=4),
    st.dictionaries(st.sampled_from(("kind", "steps", "x")), st.one_of(st.text(max_size=4), st.integers()), max_size=2),
)
"""What somebody may write where a number, a name or a list belongs."""


# Sound files


def picture(kind: str, mode: str = "RGB") -> bytes:
    pixels = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode)
    pixels.save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


@cache
def pictures() -> tuple[bytes, ...]:
    kinds = [picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")]
    return (*kinds, picture("PNG", "P"), picture("PNG", "I;16"), picture("JPEG", "CMYK"), picture("PNG", "RGBA"))


@cache
def zips() -> tuple[bytes, ...]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(buffer := io.BytesIO(), "w", method) as file:
            for name in ("a/1.png", "b/2.png"):
                file.writestr(name, picture("PNG"))
        made.append(buffer.getvalue())
    return tuple(made)


@cache
def tars() -> tuple[bytes, ...]:
    made = []
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode=mode) as file:  # type: ignore[call-overload]
            for name in ("a/1.png", "b/2.png"):
                member = tarfile.TarInfo(name)
                member.size = len(picture("PNG"))
                file.addfile(member, io.BytesIO(picture("PNG")))
        made.append(buffer.getvalue())
    return tuple(made)


@cache
def arrays() -> tuple[bytes, ...]:
    made = []
    for array in (np.zeros((3, 8, 8, 3), np.uint8), np.zeros((2, 6, 6), np.uint16), np.zeros((2, 6, 6), bool)):
        np.save(buffer := io.BytesIO(), array)
        made.append(buffer.getvalue())
    return tuple(made)


@cache
def archives_of_arrays() -> tuple[bytes, ...]:
    images, labels = np.zeros((3, 8, 8, 3), np.uint8), np.arange(3)
    made = []
    for save in (np.savez, np.savez_compressed):
        for parts in ({"images": images, "labels": labels}, {"x_train": images, "y_train": labels, "x_test": images}):
            save(buffer := io.BytesIO(), **parts)
            made.append(buffer.getvalue())
    return tuple(made)


@st.composite
def odd_arrays(draw: st.DrawFn) -> bytes:
    """An .npz of arrays of any names, types and shapes, objects and texts among them."""
    kinds = st.one_of(
        hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes(), hnp.unicode_string_dtypes(max_len=3)
    )
    shapes = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    names = st.sampled_from(
        ("images", "labels", "x_train", "y_train", "x_test", "maps", "captions", "class_names", "a/b")
    )
    parts = draw(st.dictionaries(names, hnp.arrays(kinds, shapes), max_size=3))
    if draw(st.booleans()):
        sides = hnp.array_shapes(min_dims=3, max_dims=4, max_side=5)
        parts["images"] = draw(hnp.arrays(draw(st.sampled_from((np.uint8, np.uint16, np.bool_))), sides))
    np.savez(buffer := io.BytesIO(), **parts)
    return buffer.getvalue()


@cache
def idx() -> tuple[bytes, ...]:
    plain = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 4]) + bytes(range(40))
    return plain, gzip.compress(plain, mtime=0)


@cache
def cifar() -> tuple[bytes, ...]:
    return (bytes(3073), bytes(3073) + b"\x07" + bytes(3072))


@cache
def metadata() -> tuple[bytes, ...]:
    rows = [{"file_name": "a.png", "text": "a cat"}, {"file_name": "b.png", "label": 3, "text": "a \u732b"}]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    return lines, b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"), lines.replace(b'"a cat"', b"[1, {}]")


@cache
def run_folder() -> Path:
    """A run of one step, made once."""
    import unnoise

    folder = Path(tempfile.mkdtemp()) / "run"
    small = {"model.network.channels": 8, "model.network.multipliers": [1], "train.batch_size": 4, "train.samples": 0}
    unnoise.train("digits", recipe="ddpm-digits", out=folder, steps=1, overrides=small)
    return folder


@cache
def run_files() -> dict[str, bytes]:
    """Those of the run that `load` reads."""
    root = run_folder()
    names = [path for path in root.rglob("*") if path.name == "config.toml" or "checkpoints" in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in names if path.is_file()}


# Attempts


def opened_file(name: str) -> Callable[[Path, bytes], object]:
    """Writes the bytes under that name, beside nothing, and opens the file."""

    def attempt(folder: Path, data: bytes) -> object:
        (folder / name).write_bytes(data)
        return source(folder / name, folder)

    return attempt


def opened_folder(name: str, *others: str) -> Callable[[Path, bytes], object]:
    """Writes the bytes under that name, sound pictures under the others, and opens the folder."""

    def attempt(folder: Path, data: bytes) -> object:
        (folder / "set").mkdir()
        for other in others:
            (folder / "set" / other).write_bytes(picture("PNG"))
        (folder / "set" / name).write_bytes(data)
        return source(folder / "set", folder)

    return attempt


def source(path: Path, folder: Path) -> object:
    import unnoise

    images = unnoise.open_source(path, cache=folder / "cache", progress=False)
    return images.pixels[:1]


def loaded(folder: Path, change: tuple[str, bytes]) -> object:
    """A run with one file damaged."""
    import unnoise

    for name, data in run_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / change[0]).write_bytes(change[1])
    return unnoise.load(folder)


def recipe_read(folder: Path, data: bytes) -> object:
    from unnoise.runs.config import read_recipe

    (folder / "recipe.toml").write_bytes(data)
    return read_recipe(str(folder / "recipe.toml"))


def planned(folder: Path, change: tuple[str, Any]) -> object:
    """`unnoise train --dry-run --set KEY=VALUE` on a small recipe."""
    import unnoise
    from unnoise.runs.config import parse_overrides

    key, value = change
    text = value if isinstance(value, str) else json.dumps(value)
    small = {"model.network.channels": 8, "model.network.multipliers": [1], "train.batch_size": 4}
    overrides = {**small, **parse_overrides([f"{key}={text}"])}
    return unnoise.train("digits", recipe="ddpm-digits", out=folder / "run", steps=1, overrides=overrides, dry_run=True)


def sampler_built(folder: Path, spec: Any) -> object:
    from unnoise.process.schedule import LinearBetas
    from unnoise.registry import build
    from unnoise.samplers import SAMPLERS

    return build(SAMPLERS, spec, "sampler").times(LinearBetas())


def sampler_parsed(folder: Path, text: str) -> object:
    from unnoise.samplers.spec import parse_sampler

    return sampler_built(folder, parse_sampler(text))


def run_changes() -> st.SearchStrategy[tuple[str, bytes]]:
    return st.sampled_from(sorted(run_files())).flatmap(
        lambda name: st.tuples(st.just(name), damaged((run_files()[name],)))
    )


def recipes() -> st.SearchStrategy[bytes]:
    folder = ROOT / "src" / "unnoise" / "recipes"
    return damaged(tuple(path.read_bytes() for path in sorted(folder.glob("*.toml"))))


def assignments() -> st.SearchStrategy[tuple[str, Any]]:
    """A key of the configuration, sometimes misspelt, and a value that may not suit it."""
    from unnoise.runs.config import read_recipe

    keys = sorted(_dotted(read_recipe("ddpm-digits")))
    return st.tuples(st.one_of(st.sampled_from(keys), st.text(min_size=1, max_size=12)), VALUES)


def _dotted(config: dict[str, Any], before: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{before}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{before}{key}.")


def sampler_specs() -> st.SearchStrategy[dict[str, Any]]:
    from unnoise.registry import describe
    from unnoise.samplers import SAMPLERS

    options = sorted({option.name for kind in SAMPLERS.values() for option in describe(kind)})
    return st.builds(
        lambda kind, rest: {"kind": kind, **rest},
        st.sampled_from((*SAMPLERS, "ddimm")),
        st.dictionaries(st.sampled_from(options), VALUES, max_size=2),
    )


def sampler_texts() -> st.SearchStrategy[str]:
    """Such as ddim@50:eta=0.5, with pieces in any order."""
    from unnoise.samplers import SAMPLERS

    pieces = st.one_of(
        st.sampled_from((*SAMPLERS, "@", ":", ",", "=", "eta", "grid", "steps", "karras", "order", "(", ")")),
        st.integers(-1, 2000).map(str),
        st.text(max_size=4),
    )
    sound = st.sampled_from(("ddim@50:eta=0.5", "heun@18:churn=40,grid=karras", "unipc@10"))
    return st.one_of(sound, st.lists(pieces, max_size=6).map("".join), st.tuples(sound, pieces).map("".join))


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
    "run": Job(run_changes, loaded),
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
