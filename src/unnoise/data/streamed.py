"""Pictures that are decoded when they are asked for, for sets that fit neither the memory nor the disk of the cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from unnoise.data.decode import ImageFile, decode_batch
from unnoise.data.listing import Listing
from unnoise.data.pool import Workers
from unnoise.errors import DamagedSource, UserError
from unnoise.io.picture_reader import Rules
from unnoise.progress import notice

AHEAD = 4  # batches that are decoded before they are asked for
TRIES = 1000  # pictures after a damaged one that are tried in its place


class Streamed:
    """Rows of pixels (N, C, H, W) uint8 that are decoded on the way. What reads batches or blocks of rows may take it
    for an array; it is never whole in memory.

    listing: of the pictures. shape: (C, H, W). rules: what is asked of every picture.

    A picture that turns out damaged is replaced by the next that can be read, always the same one, and named.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, listing: Listing, shape: tuple[int, int, int], rules: Rules) -> None:
        self.listing, self.rules = listing, rules
        self.shape: tuple[int, int, int, int] = (len(listing.names), *shape)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64))
        self._damaged: dict[int, int] = {}
        self._workers = Workers()
        self._expected: OrderedDict[bytes, Callable[[], tuple[np.ndarray, list[bool | str]]]] = OrderedDict()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """The pixels of rows, as an array gives them."""
        chosen = np.arange(len(self))[rows]
        pixels = self.read(np.atleast_1d(chosen))[1]
        return pixels if chosen.ndim else pixels[0]

    def __array__(self, *arguments: object, **options: object) -> NoReturn:
        raise UserError("a streamed set is never whole in memory: pack it with data.stream=false, or take less of it")

    def expect(self, batches: Sequence[np.ndarray]) -> None:
        """Begins to decode, in other processes, rows that will be asked for: AHEAD batches at most."""
        for rows in batches[:AHEAD]:
            used = self._stand_ins(rows)
            if used.tobytes() not in self._expected:
                self._expected[used.tobytes()] = self._workers.begin(decode_batch, *self._task(used))
        while len(self._expected) > 2 * AHEAD:
            self._expected.popitem(last=False)

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows that stand for `rows` (n,), which differ where pictures are damaged, and their pixels."""
        used = self._stand_ins(rows)
        begun = self._expected.pop(used.tobytes(), None)
        pixels, found = decode_batch(*self._task(used)) if begun is None else begun()
        for place in (place for place, reason in enumerate(found) if isinstance(reason, str)):
            row = int(used[place])
            notice(f"{self.listing.names[row]} cannot be read ({found[place]}); the next picture stands in for it")
            used[place], pixels[place] = self._next(row)
        return used, pixels

    def taken(self, rows: np.ndarray) -> Streamed:
        """Some of the rows."""
        return Streamed(self.listing.take(rows), self.shape[1:], self.rules)

    def _next(self, row: int) -> tuple[int, np.ndarray]:
        """The first picture after a damaged one that can be read, the first of all coming after the last."""
        for step in range(1, min(TRIES, len(self))):
            other = (row + step) % len(self)
            pixels, found = decode_batch(*self._task(np.array([other])))
            if not isinstance(found[0], str):
                self._damaged[row] = other
                return other, pixels[0]
        raise DamagedSource(f"{self.listing.names[row]} and the {TRIES} pictures after it cannot be read")

    def _stand_ins(self, rows: np.ndarray) -> np.ndarray:
        return np.array([self._damaged.get(row, row) for row in rows.tolist()], np.int64)

    def _task(self, rows: np.ndarray) -> tuple[list[ImageFile], tuple[int, int, int], Rules]:
        return self.listing.files_at(rows.tolist()), self.shape[1:], self.rules
