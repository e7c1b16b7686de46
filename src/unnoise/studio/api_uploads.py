"""Endpoints that take pictures and data sets, and say what is in them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.studio.endpoints import Endpoint, bounded_body, number
from unnoise.studio.paths import new_name
from unnoise.studio.sources import UPLOADS, resolve
from unnoise.studio.studio import Studio, studio_of
from unnoise.studio.uploads import PICTURE_BYTES, decode, keep_picture, picture_file, receive, set_file, used_bytes
from unnoise.studio.vectors import VECTOR_BYTES, decode_vectors, keep_vectors


@dataclass(frozen=True)
class InspectBody:
    """source: a name of /api/sources."""

    source: str


async def add_picture(request: Request) -> Record:
    """With ?run, cut and resized to the size of the run's images, and with its channels."""
    studio = studio_of(request)
    shape = _shape(studio, request.query_params.get("run"))
    mask = request.query_params.get("mask") == "1"
    factor = max(1, number(request, "factor", 1, 64))
    data = await bounded_body(request, PICTURE_BYTES)
    return await asyncio.to_thread(_kept, studio, data, shape, mask, factor)


def _kept(studio: Studio, data: bytes, shape: list[int] | None, mask: bool, factor: int) -> Record:
    picture = decode(data, 3 if shape is None or mask else shape[0])
    limit = 256
    size = None if shape is None else (max(1, shape[1] // factor), max(1, shape[2] // factor))
    if size is None and max(picture.size) > limit:
        scale = limit / max(picture.size)
        size = max(1, round(picture.height * scale)), max(1, round(picture.width * scale))
    name = keep_picture(studio.settings.pictures, picture, size, mask)
    height, width = size or (picture.height, picture.width)
    return {"picture": name, "width": width, "height": height, "given": [picture.width, picture.height]}


def _shape(studio: Studio, run: str | None) -> list[int] | None:
    if run is None:
        return None
    summary = studio.library.summary(studio.library.folder(run))
    if "shape" not in summary:
        raise UserError(f"{run!r} is damaged")
    return summary["shape"]


async def show_picture(request: Request) -> Response:
    file = picture_file(studio_of(request).settings.pictures, request.path_params["picture"])
    return FileResponse(file, media_type="image/png")


async def add_vector(request: Request) -> Record:
    folder = studio_of(request).settings.vectors
    data = await bounded_body(request, VECTOR_BYTES)
    return await asyncio.to_thread(_kept_vectors, folder, data)


def _kept_vectors(folder: Path, data: bytes) -> Record:
    rows = decode_vectors(data)
    return {"vector": keep_vectors(folder, rows), "rows": len(rows), "features": rows.shape[1]}


async def add_file(request: Request) -> Record:
    studio, name = studio_of(request), new_name(request.path_params["name"])
    file = set_file(studio.settings.uploads, name, request.path_params["file"])
    if name not in studio.upload_bytes:
        studio.upload_bytes[name] = await asyncio.to_thread(used_bytes, studio.settings.uploads / name)
    length = await receive(request, file, studio.upload_bytes[name])
    studio.upload_bytes[name] += length
    return {"source": f"{UPLOADS}/{name}", "bytes": length}


async def inspect(request: Request, body: InspectBody) -> Record:
    studio = studio_of(request)
    source = resolve(studio.settings, body.source)
    return studio.compute_light("inspect", f"Looking into {body.source}", {"source": source}).summary()


UPLOAD_ENDPOINTS = [
    Endpoint(
        "POST",
        "/pictures",
        add_picture,
        "Keeps a picture for editing; the body is the file.",
        query={
            "run": "fit it to this run's images",
            "mask": "1 for a mask: made black and white",
            "factor": "with run: to a factor-th of that size",
        },
        takes="application/octet-stream",
    ),
    Endpoint("GET", "/pictures/{picture}.png", show_picture, "A kept picture.", gives="image/png"),
    Endpoint(
        "POST",
        "/vectors",
        add_vector,
        "Keeps a row of numbers, or a row per image; the body is an .npy file, or numbers as text.",
        takes="application/octet-stream",
    ),
    Endpoint(
        "PUT",
        "/uploads/{name}/{file:path}",
        add_file,
        "Adds a file to an uploaded data set; the body is the file.",
        takes="application/octet-stream",
    ),
    Endpoint("POST", "/inspect", inspect, "Reads a source; a job whose result is the report.", InspectBody),
]
