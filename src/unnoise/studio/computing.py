"""Jobs that a worker process computes."""

from __future__ import annotations

from unnoise.aliases import Record
from unnoise.studio.jobs import Job
from unnoise.studio.worker import Worker


class Computation(Job):
    """A task of `unnoise.studio.tasks` with its request; ends when no page watches it any longer."""

    def __init__(self, kind: str, title: str, worker: Worker, request: Record, run: str | None = None) -> None:
        super().__init__(title, run)
        self.kind, self.lane, self.worker, self.request = kind, worker.name, worker, request

    async def work(self) -> Record:
        return await self.worker.run(self.kind, self.request, lambda event: self.emit(event.pop("event"), event))

    def stop(self) -> None:
        self.worker.cancel()
