"""The training stream: batch(step) is a function of (seed, step) alone, so that a resumed run needs no loader state."""

from __future__ import annotations

import numpy as np
import torch

from unnoise.data.augment import AUGMENT, augmented, drawn
from unnoise.data.batch import Batch, Gather
from unnoise.data.buckets import AnyImages
from unnoise.data.images import Images
from unnoise.data.order import Order, Shuffled, Windowed, draws
from unnoise.data.streamed import AHEAD
from unnoise.errors import UserError
from unnoise.host import sent

FLIP, CHANGE = 2, 4  # what a draw is for: part of its key; 1 and 3 are of the order
ALL = slice(None)
RESIDENT_FRACTION = 0.25  # of the free device memory: a set up to this size is kept on a CUDA device


class Loader:
    """Shuffled epochs without replacement, one after the other without a gap: a batch may span two epochs or more.

    flip: each image is mirrored left to right with probability 1/2. rows: the images that are shown, of all.
    augment: the probability of each kind of change (`data.augment`); what was done is the condition 'augment'.
    resident: whether the set lies on the device; None where it fits.
    The stream is endless; steps count from 0. Images that are streamed from shards are shuffled within windows
    (`order.Windowed`), all others over the whole set.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        seed: int,
        device: str | torch.device = "cpu",
        flip: bool = False,
        rows: np.ndarray | None = None,
        augment: float = 0.0,
        resident: bool | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1; got {batch_size}")
        if not len(images):
            raise UserError(f"{images.source} holds no images to train on")
        self.images = images
        self.rows = np.arange(len(images)) if rows is None else rows
        self.batch_size = batch_size
        self.seed = seed
        self.flip, self.augment = flip, augment
        self.device = torch.device(device)
        self._gather = Gather(images, self.device, fits(images, self.device) if resident is None else resident)
        self._order = self._chosen_order()

    def indices(self, step: int) -> np.ndarray:
        """(batch_size,) int64: which images make up the batch of a step."""
        count = len(self.rows)
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        for epoch in range(start // count, (stop - 1) // count + 1):
            begin = epoch * count
            parts.append(self._order.rows(epoch, max(start - begin, 0), min(stop - begin, count)))
        return self.rows[np.concatenate(parts)]

    def batch(self, step: int, rows: np.ndarray | slice = ALL) -> Batch:
        """The batch of a step, on the device; or some rows of it."""
        flip = draws(self.seed, step, FLIP).random(self.batch_size) < 0.5 if self.flip else None
        if self.images.streams:
            self._gather.expect([self.indices(step + ahead)[rows] for ahead in range(AHEAD + 1)])
        batch = self._gather.batch(self.indices(step)[rows], None if flip is None else flip[rows])
        return self._augmented(batch, step, rows) if self.augment else batch

    def other_shapes(self, batch: Batch) -> list[Batch]:
        """None: its images have one shape."""
        return []

    def _augmented(self, batch: Batch, step: int, rows: np.ndarray | slice) -> Batch:
        done = torch.from_numpy(drawn(draws(self.seed, step, CHANGE), self.batch_size, self.augment)[rows])
        cond = {**batch.cond, AUGMENT: sent(done, self.device)}
        return Batch(augmented(batch.image, done), cond)

    def _chosen_order(self) -> Order:
        if not self.images.shards:
            return Shuffled(len(self.rows), self.seed)
        firsts = np.unique(np.searchsorted(self.rows, self.images.shards))
        return Windowed(firsts[firsts < len(self.rows)], len(self.rows), self.seed)


def fits(images: AnyImages, device: torch.device) -> bool:
    """Whether a set may lie on a device as a whole."""
    if device.type != "cuda" or images.streams:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return sum(part.pixels.nbytes for part in images.buckets) <= RESIDENT_FRACTION * free
