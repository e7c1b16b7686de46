"""The HTML: one shell for all pages, which the modules in `static` fill, and the page that asks for the password."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse, Response

STATIC = Path(__file__).parent / "static"

PAGES = ("/", "/run", "/train", "/sample", "/edit", "/compare", "/learn")
"""Addresses that the shell answers; the rest of the address is for the page's own module."""


def shell() -> Response:
    """The page in which the module of each address draws itself."""
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})


def login_page(status: int = 200) -> Response:
    """The page that asks for the token."""
    return HTMLResponse((STATIC / "login.html").read_text(), status)
