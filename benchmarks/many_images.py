"""Many small pictures for the figures of big data: shifted and dimmed MNIST digits, as a folder or as tar shards.

    python benchmarks/many_images.py mnist --to folder --out FOLDER -n 1000000
    python benchmarks/many_images.py mnist --to shards --out FOLDER -n 1000000

Picture i is a function of i alone: digit i modulo the size of the set, moved by up to three pixels and dimmed by up to
a half. Both forms hold the same pictures: CLASS/KEY.png in a folder, KEY.png and KEY.cls in a shard.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from unnoise.sources import open_source

PER_SHARD = 10_000
SHIFT = 3


def pictures(source: str, count: int) -> Iterator[tuple[str, int, bytes]]:
    """(key, class, PNG) of each picture."""
    images = open_source(source)
    assert images.labels is not None, "a set with classes"
    for number in range(count):
        row = number % len(images)
        draw = np.random.default_rng(number)
        moved = np.roll(images.pixels[row], draw.integers(-SHIFT, SHIFT + 1, 2), axis=(1, 2))
        dimmed = (moved * draw.uniform(0.5, 1)).astype(np.uint8)
        stream = io.BytesIO()
        picture = dimmed[0] if len(dimmed) == 1 else dimmed.transpose(1, 2, 0)
        Image.fromarray(picture).save(stream, "PNG", compress_level=1)
        yield f"{number:08d}", int(images.labels[row]), stream.getvalue()


def write_folder(source: str, count: int, out: Path) -> None:
    for label in range(len(open_source(source).classes)):
        (out / str(label)).mkdir(parents=True, exist_ok=True)
    for key, label, data in pictures(source, count):
        (out / str(label) / f"{key}.png").write_bytes(data)


def write_shards(source: str, count: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    archive = None
    for number, (key, label, data) in enumerate(pictures(source, count)):
        if number % PER_SHARD == 0:
            if archive is not None:
                archive.close()
            archive = tarfile.open(out / f"shard-{number // PER_SHARD:06d}.tar", "w")  # noqa: SIM115
        assert archive is not None
        for name, content in ((f"{key}.png", data), (f"{key}.cls", str(label).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    if archive is not None:
        archive.close()


WRITERS = {"folder": write_folder, "shards": write_shards}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="a set with classes, such as mnist")
    parser.add_argument("--to", choices=WRITERS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-n", type=int, default=1_000_000)
    asked = parser.parse_args()
    WRITERS[asked.to](asked.source, asked.n, asked.out)


if __name__ == "__main__":
    main()
