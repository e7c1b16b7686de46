"""Worker processes for decoding."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from unnoise.errors import UserError

T = TypeVar("T")

MAX_WORKERS = 16


class Workers:
    """Runs a function over chunks, in processes when there are several cores and enough chunks to be worth it.

    Processes are spawned, so threads and CUDA contexts of this process do not matter to them.
    """

    def __init__(self, few: int = 8) -> None:
        self.few = few
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[..., T], chunks: Sequence[tuple[Any, ...]]) -> Iterator[T]:
        """The results in order; raises UserError when a process dies."""
        count = min(_cores(), MAX_WORKERS, len(chunks))
        if count < 2 or len(chunks) < self.few or multiprocessing.current_process().daemon:
            yield from (function(*chunk) for chunk in chunks)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
        with _no_main():
            futures = [self._pool.submit(function, *chunk) for chunk in chunks]
        try:
            yield from (future.result() for future in futures)
        except BrokenProcessPool as error:
            raise UserError(
                "a decoding process was killed, most likely for want of memory; close other programs, or set data.size"
            ) from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _no_main() -> Iterator[None]:
    """Spawned processes run the user's script again to find its names; ours need none of them, and a script without
    an `if __name__ == "__main__"` guard would start all over in each process."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
