"""Endpoints that compare runs: by a new `unnoise compare`, whose table and page they give."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from unnoise.errors import UserError
from unnoise.io.json_file import MOST_RESULT_BYTES, found_json
from unnoise.studio.checks import bounded
from unnoise.studio.endpoints import Endpoint
from unnoise.studio.paths import inside
from unnoise.studio.studio import studio_of

ITS_PAGE = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""The page of a comparison brings its own style; it may do nothing else."""
SHOWN = 50


@dataclass(frozen=True)
class CompareBody:
    """runs: names. samplers: such as ddim or ddim@20. steps: numbers. number: samples of each."""

    runs: list[str]
    samplers: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    metrics: list[str] = field(default_factory=lambda: ["fid", "precision", "recall"])
    number: int = 500


async def start(request: Request, body: CompareBody) -> dict[str, Any]:
    studio = studio_of(request)
    bounded("number", body.number, 50_000, least=2)
    if not 1 <= len(body.runs) <= 20:
        raise UserError(f"1 to 20 runs can be compared, got {len(body.runs)}")
    for word in (*body.samplers, *body.metrics):
        if not word or not all(letter.isalnum() or letter in "+-@_:=." for letter in word) or word.startswith("-"):
            raise UserError(f"{word[:40]!r} is the name of no sampler or metric")
    for count in body.steps:
        bounded("steps", count, 4000)
    name = secrets.token_hex(6)
    folders = [str(studio.library.folder(run)) for run in body.runs]
    lists = {"samplers": body.samplers, "steps": map(str, body.steps), "metrics": body.metrics}
    options = [f"--{option}={joined}" for option, words in lists.items() if (joined := ",".join(words))]
    out = studio.settings.results / name
    arguments = ["compare", *folders, *options, "-n", str(body.number), "--out", str(out)]
    job = studio.command("compare", f"Comparing {', '.join(body.runs)}", arguments)
    return {**job.summary(), "comparison": name}


async def show_all(request: Request) -> dict[str, Any]:
    studio = studio_of(request)
    files = sorted(studio.settings.results.glob("*/results.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    return {"comparisons": [{"comparison": file.parent.name, **_table(file)} for file in files[:SHOWN]]}


async def show_report(request: Request) -> Response:
    file = inside(studio_of(request).settings.results, f"{request.path_params['comparison']}/report.html")
    return FileResponse(file, media_type="text/html", headers={"content-security-policy": ITS_PAGE})


def _table(file: Path) -> dict[str, Any]:
    results = found_json(file, MOST_RESULT_BYTES)
    if results is None:
        return {"table": [], "updated": 0.0}
    return {"table": results.get("table", []), "updated": file.stat().st_mtime}


COMPARE_ENDPOINTS = [
    Endpoint("POST", "/compare", start, "Queues a comparison.", CompareBody),
    Endpoint("GET", "/comparisons", show_all, "Comparisons, the newest first, with their tables."),
    Endpoint(
        "GET",
        "/comparisons/{comparison}/report.html",
        show_report,
        "The page that `unnoise compare` wrote.",
        gives="text/html",
    ),
]
