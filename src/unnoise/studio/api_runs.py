"""Endpoints that read runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from unnoise.aliases import Record
from unnoise.runs.curves import curves, read_from
from unnoise.studio.endpoints import Endpoint, number
from unnoise.studio.events import ALIVE, event, event_stream
from unnoise.studio.library import METRICS_FILE, checkpoints, evaluations, grids, read_config, updated
from unnoise.studio.studio import Studio, studio_of

TICK = 0.7
"""Seconds between looks at the files of a run."""
ALL = 100_000


async def list_runs(request: Request) -> Record:
    return await asyncio.to_thread(_listed, studio_of(request), request)


def _listed(studio: Studio, request: Request) -> Record:
    found = studio.library.folders()
    wanted = request.query_params.get("query", "").lower()
    found = [folder for folder in found if wanted in studio.library.name(folder).lower()]
    offset, limit = number(request, "offset", 0, ALL), number(request, "limit", ALL, ALL)
    runs = studio.library.summaries(found[offset : offset + limit])
    return {"runs": runs, "count": len(found), "folder": str(studio.settings.folder)}


async def show_run(request: Request) -> Record:
    return await asyncio.to_thread(_shown, studio_of(request), request.path_params["run"])


def _shown(studio: Studio, name: str) -> Record:
    folder = studio.library.folder(name)
    summary = studio.library.summary(folder)
    return {
        **summary,
        "config": read_config(folder) if summary["state"] != "damaged" else {},
        "grids": grids(folder),
        "checkpoints": checkpoints(folder),
        "evaluations": evaluations(folder),
    }


async def show_metrics(request: Request) -> Record:
    folder = studio_of(request).library.folder(request.path_params["run"])
    points = max(2, number(request, "points", 600, 5000))
    found, histograms, offset = await asyncio.to_thread(curves, folder / METRICS_FILE, points)
    keys = request.query_params.get("keys", "")
    wanted = keys.split(",") if keys else list(found)
    chosen = {key: curve for key, curve in found.items() if key in wanted}
    return {"curves": chosen, "histograms": histograms, "offset": offset}


async def show_grid(request: Request) -> Response:
    library, step = studio_of(request).library, request.path_params["step"]
    return FileResponse(library.file(request.path_params["run"], f"samples/{step}.png"), media_type="image/png")


async def watch_run(request: Request) -> Response:
    studio = studio_of(request)
    folder = studio.library.folder(request.path_params["run"])
    start = number(request, "offset", 0, 1 << 40)

    async def lines() -> AsyncIterator[str]:
        offset, before = start, None
        while not await request.is_disconnected():
            new, offset = await asyncio.to_thread(read_from, folder / METRICS_FILE, offset)
            if new:
                yield event("metrics", {"lines": new[-2000:], "offset": offset})
            summary = await asyncio.to_thread(studio.library.summary, folder)
            yield event("summary", summary) if summary != before else ALIVE
            before = summary
            await asyncio.sleep(TICK)

    return event_stream(lines())


async def watch_all(request: Request) -> Response:
    """Summaries of runs that changed, and the queue whenever it does."""
    studio = studio_of(request)

    async def lines() -> AsyncIterator[str]:
        seen, version = {}, -1
        first = True
        while not await request.is_disconnected():
            if studio.queue.version != version:
                version = studio.queue.version
                yield event("jobs", {"jobs": studio.queue.summaries()})
            changed = await asyncio.to_thread(_changed, studio, seen)
            if changed and not first:
                yield event("runs", {"runs": changed})
            else:
                yield ALIVE
            first = False
            await asyncio.sleep(TICK)

    return event_stream(lines())


def _changed(studio: Studio, seen: dict[str, tuple[float, int]]) -> list[Record]:
    """Runs whose files changed since the last look, at most 50; `seen` is brought up to date."""
    new = []
    for folder in studio.library.folders():
        mark = updated(folder), len(grids(folder)) if len(seen) < 200 else 0
        name = studio.library.name(folder)
        if seen.get(name) != mark:
            seen[name] = mark
            new.append(folder)
    return studio.library.summaries(new[:50]) if len(new) <= 200 else []


RUN = "/runs/{run:path}"

RUN_ENDPOINTS = [
    Endpoint(
        "GET",
        "/runs",
        list_runs,
        "Runs, the one that was written to last first.",
        query={"query": "part of a name", "offset": "how many to leave out", "limit": "how many at most"},
    ),
    Endpoint(
        "GET",
        f"{RUN}/metrics",
        show_metrics,
        "Curves of what a training measured: key to (step, value); histograms: of the classes that a model draws; "
        "offset: for the events that follow.",
        query={"points": "of each curve at most", "keys": "comma-separated; all unless given"},
    ),
    Endpoint(
        "GET",
        f"{RUN}/events",
        watch_run,
        "What is new of a run: events 'metrics' and 'summary'.",
        query={"offset": "where to begin: that of /metrics, or 0 for all"},
        gives="text/event-stream",
    ),
    Endpoint("GET", f"{RUN}/samples/{{step:int}}.png", show_grid, "The picture drawn at a step.", gives="image/png"),
    Endpoint(
        "GET",
        "/events",
        watch_all,
        "What is new: events 'runs' (summaries that changed) and 'jobs' (the whole queue).",
        gives="text/event-stream",
    ),
]
SHOW_RUN = Endpoint("GET", RUN, show_run, "All about a run: configuration, checkpoints, evaluations.")
"""Comes last: its path fits the others too."""
