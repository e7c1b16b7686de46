"""An endpoint: one line of the table from which the routes and the OpenAPI document are made."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unnoise.errors import UserError
from unnoise.studio.bodies import parse
from unnoise.studio.paths import Forbidden, NotFound, TooLarge

STATUS: dict[type[UserError], int] = {NotFound: 404, Forbidden: 403, TooLarge: 413}
MOST_JSON = 1 << 20
"""Bytes of a body that is JSON."""


@dataclass(frozen=True)
class Endpoint:
    """handler(request) or, with a body, handler(request, body) gives a Response or what becomes JSON.

    path: below /api. summary: for the document. body: the dataclass of its JSON, or None. query: names with what they
    mean. takes: the media type of a raw body. gives: the media type of the answer.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    summary: str
    body: type | None = None
    query: dict[str, str] = field(default_factory=dict)
    takes: str | None = None
    gives: str = "application/json"

    def route(self) -> Route:
        return Route(f"/api{self.path}", self._answer, methods=[self.method])

    async def _answer(self, request: Request) -> Response:
        try:
            if self.body is None:
                found = await self.handler(request)
            else:
                found = await self.handler(request, parse(self.body, await bounded_body(request, MOST_JSON)))
        except UserError as error:
            return JSONResponse({"error": str(error)}, STATUS.get(type(error), 400))
        except ClientDisconnect:
            return Response(status_code=400)
        return found if isinstance(found, Response) else JSONResponse(finite(found))


async def bounded_body(request: Request, most: int) -> bytes:
    """The body; TooLarge as soon as it is longer than `most` bytes."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise TooLarge(f"the body is longer than {most >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def number(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query, from 0 to `most`."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UserError(f"{name} has to be a whole number of at least 0, got {text[:40]!r}")
    return min(int(text), most)


def finite(value: Any) -> Any:
    """As JSON can say it: no NaN, no infinity."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


async def not_found(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return JSONResponse({"error": "there is nothing at this address"}, status)


async def broken(request: Request, error: Exception) -> Response:
    """A bug: its traceback goes to standard error, not to the page."""
    return JSONResponse({"error": "this is a fault of the studio; the terminal says more"}, 500)
