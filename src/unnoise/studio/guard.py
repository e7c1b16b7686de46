"""Who may ask: the token, its cookie, the origin; and the headers that every answer carries."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unnoise.studio.pages import login_page
from unnoise.studio.settings import Settings

OPEN = ("/login", "/static/login.css", "/static/inter.woff2", "/static/icon.svg")
"""What is there for everyone: the page that asks for the password, and how it looks."""

SAFE = ("GET", "HEAD", "OPTIONS")

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """The outermost layer: refuses who may not ask, and marks every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refused(Request(scope))
        await (refused or self.app)(scope, receive, _marking(send))

    def _refused(self, request: Request) -> Response | None:
        if not self._expected_host(request.headers):
            return JSONResponse({"error": "this address is not the studio's"}, 403)
        if not same_origin(request.method, request.headers):
            return JSONResponse({"error": "this request comes from another page"}, 403)
        if request.url.path in OPEN or self.knows(request):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return login_page(401)
        return JSONResponse({"error": "give the token that `unnoise studio` printed"}, 401)

    def _expected_host(self, headers: Headers) -> bool:
        """A name that an attacker made to point at this machine is not expected."""
        if self.settings.password is not None:
            return True
        found = HOST.fullmatch(headers.get("host", ""))
        return found is not None and found[1].strip("[]") in ("127.0.0.1", "localhost", "::1", self.settings.host)

    def knows(self, request: Request) -> bool:
        """Whether the request carries the token: as cookie, bearer token or in the address."""
        given = (
            request.cookies.get(self.settings.cookie, ""),
            request.headers.get("authorization", "").removeprefix("Bearer "),
            request.query_params.get("token", ""),
        )
        return any(equal(text, self.settings.token) for text in given)


def equal(given: str, wanted: str) -> bool:
    """Compares in a time that does not tell how much was right."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def same_origin(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from the page itself, or from no page at all."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return False
    site = headers.get("sec-fetch-site", "none")
    if method in SAFE and headers.get("sec-fetch-mode") == "navigate":
        return True
    return site in ("none", "same-origin")


def _marking(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-cache" if "etag" in headers else "no-store")
        await send(message)

    return marked
