"""Long samplings on the disk, batch by batch: little memory, any number of processes, and nothing drawn twice."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from unnoise.aliases import Record
from unnoise.files import write_atomic

ABOUT = "about.json"


class Parts:
    """The batches of a sampling in a folder beside the file that they will make, until it is made.

    Args:
        out: what is to be made.
        about: what decides the images. A folder that was made for other images is begun anew.
        spans: the batches, as slices of the seeds.
    """

    def __init__(self, out: Path, about: Record, spans: Sequence[slice]) -> None:
        self.folder, self.spans = out.with_name(f".{out.name}.parts"), list(spans)
        self._about = json.dumps({**about, "batches": [span.stop for span in spans]}, indent=1, sort_keys=True)

    def begin(self) -> None:
        """Keeps what an earlier call has drawn of the same images, and removes anything else."""
        file = self.folder / ABOUT
        if not file.is_file() or file.read_text() != self._about:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_atomic(file, self._about)

    def missing(self) -> list[slice]:
        """The batches that are not there."""
        return [span for span in self.spans if not self._file(span).is_file()]

    def write(self, span: slice, images: np.ndarray) -> None:
        """One batch, uint8 (B, C, H, W)."""
        stream = io.BytesIO()
        np.save(stream, images)
        write_atomic(self._file(span), stream.getvalue())

    def read(self) -> Iterator[np.ndarray]:
        """All batches in order."""
        return (np.load(self._file(span), allow_pickle=False) for span in self.spans)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, span: slice) -> Path:
        return self.folder / f"{span.start:09d}.npy"
