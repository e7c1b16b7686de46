"""Endpoints of the queue: what waits and runs, the events of a job, cancelling it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.studio.animation import gif_of
from unnoise.studio.endpoints import Endpoint
from unnoise.studio.events import ALIVE, event, event_stream
from unnoise.studio.studio import studio_of


async def list_jobs(request: Request) -> Record:
    return {"jobs": studio_of(request).queue.summaries()}


async def show_job(request: Request) -> Record:
    return studio_of(request).queue.get(request.path_params["job"]).summary()


async def cancel_job(request: Request) -> Record:
    queue = studio_of(request).queue
    job = queue.get(request.path_params["job"])
    queue.cancel(job)
    return job.summary()


async def watch_job(request: Request) -> Response:
    """A sampling or an edit ends when its last page goes."""
    queue = studio_of(request).queue
    job = queue.get(request.path_params["job"])

    async def lines() -> AsyncIterator[str]:
        job.watchers += 1
        try:
            async for item in job.watch():
                if await request.is_disconnected():
                    return
                yield ALIVE if item is None else event(*item)
            yield event("end", {})
        finally:
            job.watchers -= 1
            leaving = asyncio.create_task(queue.left(job))
            queue.background.add(leaving)
            leaving.add_done_callback(queue.background.discard)

    return event_stream(lines())


async def animate(request: Request) -> Response:
    job = studio_of(request).queue.get(request.path_params["job"])
    frames = [content["x"] for name, content in job.events if name == "frame"]
    if len(frames) < 2:
        raise UserError("this job has no steps to show")
    return Response(await asyncio.to_thread(gif_of, frames), media_type="image/gif")


JOB_ENDPOINTS = [
    Endpoint("GET", "/jobs", list_jobs, "What waits, runs and has finished, the newest first."),
    Endpoint("GET", "/jobs/{job}", show_job, "A job: its state, and its result once it is done."),
    Endpoint("DELETE", "/jobs/{job}", cancel_job, "Takes a job out of the queue, or ends it within a step."),
    Endpoint(
        "GET",
        "/jobs/{job}/events",
        watch_job,
        "A job as it happens: 'state', its own events, 'end'. Work that nobody watches any longer ends.",
        gives="text/event-stream",
    ),
    Endpoint("GET", "/jobs/{job}/steps.gif", animate, "The steps of a sampling as a GIF.", gives="image/gif"),
]
