"""Jobs and their queue: one at a time on the device, the rest wait in order."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.studio.paths import NotFound

FINISHED = ("done", "failed", "cancelled")
KEPT = 24
"""Finished jobs whose events are remembered."""
WAITING = 100
"""Jobs that may wait."""
LEAVE = 2.0
"""Seconds after the last page left a job that nobody watches is cancelled: a page that reloads is not gone."""


class Job(ABC):
    """A piece of work with a state, events and a result. title: for people. lane: which queue it waits in.

    stays: whether it goes on when no page watches it.
    """

    kind = "job"
    lane = "device"
    stays = False

    def __init__(self, title: str, run: str | None = None) -> None:
        self.id, self.title, self.run = secrets.token_hex(8), title, run
        self.state, self.error, self.created = "waiting", "", time.time()
        self.result: Record = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.watchers = 0
        self._changed = asyncio.Event()

    @abstractmethod
    async def work(self) -> Record:
        """Does it; gives the result. Raises asyncio.CancelledError where it was cancelled, UserError with a reason."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it while it runs."""

    def emit(self, name: str, content: Record) -> None:
        """An event, for all who watch."""
        self.events.append((name, content))
        self._wake()

    def set(self, state: str, error: str = "") -> None:
        self.state, self.error = state, error
        self._wake()

    def summary(self) -> Record:
        return {
            "id": self.id,
            "kind": self.kind,
            "lane": self.lane,
            "title": self.title,
            "run": self.run,
            "state": self.state,
            "error": self.error,
            "created": self.created,
            "result": self.result,
        }

    async def watch(self) -> AsyncIterator[tuple[str, dict[str, Any]] | None]:
        """All events from the first, the state whenever it changed, and None about once a second; to the end."""
        sent, state = 0, ""
        while True:
            changed = self._changed
            for item in self.events[sent:]:
                sent += 1
                yield item
            if self.state != state:
                state = self.state
                yield "state", self.summary()
            if state in FINISHED and sent == len(self.events):
                return
            try:
                await asyncio.wait_for(changed.wait(), 1.0)
            except TimeoutError:
                yield None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Queue:
    """Lanes of jobs."""

    def __init__(self, lanes: tuple[str, ...] = ("device", "light")) -> None:
        self.jobs: dict[str, Job] = {}
        self.version = 0
        self._news = {lane: asyncio.Event() for lane in lanes}
        self._tasks: list[asyncio.Task[None]] = []
        self.background: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._serve(lane), name=f"lane {lane}") for lane in self._news]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, job: Job) -> Job:
        if sum(other.state == "waiting" for other in self.jobs.values()) >= WAITING:
            raise UserError(f"{WAITING} jobs wait already; cancel some")
        self.jobs[job.id] = job
        self._forget()
        self.changed()
        self._news[job.lane].set()
        return job

    def get(self, name: str) -> Job:
        if name not in self.jobs:
            raise NotFound("there is no such job; finished ones are forgotten after a while")
        return self.jobs[name]

    def cancel(self, job: Job) -> None:
        """Takes it out of the queue, or ends it."""
        if job.state == "waiting":
            job.set("cancelled")
        elif job.state == "running":
            job.stop()
        self.changed()

    def waiting(self, lane: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.lane == lane and job.state == "waiting"]

    def summaries(self) -> list[Record]:
        """All jobs, the newest first; what waits says how many are before it."""
        before = {job.id: index for lane in self._news for index, job in enumerate(self.waiting(lane))}
        shown = [{**job.summary(), "before": before.get(job.id)} for job in self.jobs.values()]
        return shown[::-1]

    async def left(self, job: Job) -> None:
        """A page stopped watching: where it was the last, the job ends."""
        await asyncio.sleep(LEAVE)
        if job.watchers == 0 and not job.stays and job.state not in FINISHED:
            self.cancel(job)

    def changed(self) -> None:
        self.version += 1

    async def _serve(self, lane: str) -> None:
        while True:
            self._news[lane].clear()
            for job in self.waiting(lane):
                await self._work(job)
            await self._news[lane].wait()

    async def _work(self, job: Job) -> None:
        if job.state != "waiting":
            return
        job.set("running")
        self.changed()
        try:
            job.result = await job.work()
            job.set("done")
        except asyncio.CancelledError:
            job.set("cancelled")
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # the studio itself ends
                raise
        except (UserError, OSError) as error:
            job.set("failed", str(error))
        except Exception:  # a bug, which must not end the lane
            traceback.print_exc(file=sys.stderr)
            job.set("failed", "this is a fault of the studio; the terminal says more")
        finally:
            self.changed()

    def _forget(self) -> None:
        finished = [job for job in self.jobs.values() if job.state in FINISHED]
        for job in itertools.islice(finished, max(0, len(finished) - KEPT)):
            del self.jobs[job.id]
