"""What the endpoints share: the runs, the queue, the workers, the folders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import Request

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.studio.commands import Command, restore
from unnoise.studio.computing import Computation
from unnoise.studio.jobs import Queue
from unnoise.studio.library import Library
from unnoise.studio.settings import Settings
from unnoise.studio.worker import Worker


class Studio:
    """device: computes with models, one job at a time. light: reads data and does the small mathematics of Learn."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library(settings.folder)
        self.queue = Queue()
        self.device, self.light = Worker("device"), Worker("light", threads=False)
        self.upload_bytes: dict[str, int] = {}
        self._registries: Record | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts the workers and takes up what another studio left."""
        self.device.start()
        self.queue.start()
        for job in restore(self.jobs_folder):
            self.queue.add(job)
        try:
            yield
        finally:
            self.device.stop()
            self.light.stop()
            await self.queue.close()

    @property
    def jobs_folder(self) -> Path:
        return self.settings.state / "jobs"

    async def registries(self) -> Record:
        """What `describe` gives, computed once."""
        if self._registries is None:
            job = self.compute_light("describe", "Reading the registries", {})
            job.stays = True
            async for _ in job.watch():
                pass
            if job.state != "done":
                raise UserError(job.error or "the registries could not be read")
            self._registries = job.result
        return self._registries

    def compute(self, kind: str, title: str, request: Record, run: str | None = None) -> Computation:
        """Queues a task for the device."""
        job = Computation(kind, title, self.device, request, run)
        self.queue.add(job)
        return job

    def compute_light(self, kind: str, title: str, request: Record) -> Computation:
        """Queues a task that does not need the device."""
        job = Computation(kind, title, self.light, request)
        self.queue.add(job)
        return job

    def command(self, kind: str, title: str, arguments: list[str], run: str | None = None) -> Command:
        """Queues a command line for the device."""
        job = Command(kind, title, arguments, self.jobs_folder, run)
        job.keep()
        self.queue.add(job)
        return job


def studio_of(request: Request) -> Studio:
    """The studio that answers a request."""
    return request.app.state.studio
