"""Worker processes for decoding."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from unnoise.errors import UserError

T = TypeVar("T")

MAX_WORKERS = 16
AHEAD = 4  # tasks under way for each process


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

    def map(self, function: Callable[..., T], chunks: Iterable[tuple[Any, ...]], count: int) -> Iterator[T]:
        """The results in order, of `count` chunks, which are made as they are needed.

        Raises UserError when a process dies.
        """
        workers = min(cores(), MAX_WORKERS, count)
        if workers < 2 or count < self.few or multiprocessing.current_process().daemon:
            yield from (function(*chunk) for chunk in chunks)
            return
        with _killed_processes_told():
            yield from _ahead(self._started(workers), function, chunks, AHEAD * workers)

    def begin(self, function: Callable[..., T], *arguments: Any) -> Callable[[], T]:
        """Begins one task; what it returns waits for the result. In this process where there is one core."""
        workers = min(cores(), MAX_WORKERS)
        if workers < 2 or multiprocessing.current_process().daemon:
            return partial(function, *arguments)
        with _no_main():
            task = self._started(workers).submit(function, *arguments)
        return partial(_result, task)

    def _started(self, workers: int) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        return self._pool


def _result(task: Future[T]) -> T:
    with _killed_processes_told():
        return task.result()


@contextmanager
def _killed_processes_told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise UserError(
            "a decoding process was killed, most likely for want of memory; close other programs, or set data.size"
        ) from error


def _ahead(
    pool: ProcessPoolExecutor, function: Callable[..., T], chunks: Iterable[tuple[Any, ...]], most: int
) -> Iterator[T]:
    """The results in order, with `most` tasks under way."""
    under_way: deque[Future[T]] = deque()
    for chunk in chunks:
        with _no_main():
            under_way.append(pool.submit(function, *chunk))
        if len(under_way) >= most:
            yield under_way.popleft().result()
    yield from (task.result() for task in under_way)


def cores() -> int:
    """That this process may use."""
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
