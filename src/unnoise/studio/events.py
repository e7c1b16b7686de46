"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from unnoise.aliases import Source
from unnoise.studio.endpoints import finite

ALIVE = ": alive\n\n"
"""A comment, which tells the server whether anybody still listens."""


def event(name: str, data: Source) -> str:
    """An event of a stream (server-sent events), its data as JSON."""
    return f"event: {name}\ndata: {json.dumps(finite(data))}\n\n"


def event_stream(lines: AsyncIterator[str]) -> StreamingResponse:
    """The response that sends events as they come; proxies are asked not to hold them back."""
    return StreamingResponse(lines, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
