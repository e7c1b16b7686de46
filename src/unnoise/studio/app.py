"""The application: pages, files, endpoints, and the guard around them."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from unnoise.studio.api_compare import COMPARE_ENDPOINTS
from unnoise.studio.api_jobs import JOB_ENDPOINTS
from unnoise.studio.api_learn import LEARN_ENDPOINTS
from unnoise.studio.api_models import MODEL_ENDPOINTS
from unnoise.studio.api_runs import RUN_ENDPOINTS, SHOW_RUN
from unnoise.studio.api_train import TRAIN_ENDPOINTS
from unnoise.studio.api_uploads import UPLOAD_ENDPOINTS
from unnoise.studio.endpoints import bounded_body, broken, not_found
from unnoise.studio.guard import Guard, equal
from unnoise.studio.openapi import document
from unnoise.studio.pages import PAGES, STATIC, login_page, shell
from unnoise.studio.paths import TooLarge
from unnoise.studio.settings import Settings
from unnoise.studio.studio import Studio, studio_of

ENDPOINTS = [
    *RUN_ENDPOINTS,
    *TRAIN_ENDPOINTS,
    SHOW_RUN,
    *JOB_ENDPOINTS,
    *UPLOAD_ENDPOINTS,
    *MODEL_ENDPOINTS,
    *LEARN_ENDPOINTS,
    *COMPARE_ENDPOINTS,
]
PAUSE = 0.5
"""Seconds that a wrong password costs."""


def create_app(settings: Settings) -> Starlette:
    """The studio as an ASGI application."""
    studio = Studio(settings)
    app = Starlette(
        routes=[
            *(Route(path, page, methods=["GET"]) for path in PAGES),
            Route("/login", login, methods=["GET", "POST"]),
            Route("/api/openapi.json", openapi, methods=["GET"]),
            *(endpoint.route() for endpoint in ENDPOINTS),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, settings=settings)],
        exception_handlers={HTTPException: not_found, Exception: broken},
        lifespan=lambda app: studio.running(),
    )
    app.state.studio = studio
    return app


async def page(request: Request) -> Response:
    """The shell. The token in the address becomes a cookie, so that it stands in no history and no link."""
    settings = studio_of(request).settings
    if "token" not in request.query_params:
        return shell()
    return _known(RedirectResponse(request.url.path, 303), settings)


async def login(request: Request) -> Response:
    """Takes the password, where one was set."""
    settings = studio_of(request).settings
    if request.method == "GET":
        return login_page()
    try:
        form = parse_qs((await bounded_body(request, 4096)).decode(errors="replace"))
    except TooLarge as error:
        return JSONResponse({"error": str(error)}, 413)
    if settings.password is not None and equal(form.get("password", [""])[0], settings.password):
        return _known(RedirectResponse("/", 303), settings)
    await asyncio.sleep(PAUSE)
    return login_page(403)


async def openapi(request: Request) -> Response:
    return JSONResponse(document(ENDPOINTS))


def _known(response: Response, settings: Settings) -> Response:
    response.set_cookie(settings.cookie, settings.token, httponly=True, samesite="strict", max_age=30 * 86400)
    return response
