"""Endpoints that compute with a run: sampling, editing, nearest images, latents."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.studio.checks import bounded
from unnoise.studio.endpoints import Endpoint
from unnoise.studio.studio import Studio, studio_of
from unnoise.studio.uploads import picture_file
from unnoise.studio.vectors import vector_file

MOST_IMAGES, MOST_VERSIONS, MOST_BETWEEN = 256, 16, 33
EDITS = ("inpaint", "outpaint", "upscale", "colourise", "deblur", "vary")
GIVENS = {"interpolate": 2, "arithmetic": 3, "invert": 1}
"""Task in latents -> how many pictures or seeds it takes."""


@dataclass(frozen=True)
class SampleBody:
    """sampler: {kind, ...} or null for the run's own. map, image: pictures.
    vector: of /api/vectors. guidance: 1 is none."""

    run: str
    seed: int = 0
    number: int = 16
    sampler: dict | None = None
    label: str | None = None
    prompt: str | None = None
    map: str | None = None
    image: str | None = None
    vector: str | None = None
    guidance: float = 1.0


@dataclass(frozen=True)
class EditBody:
    """task: inpaint, outpaint, upscale, colourise, deblur or vary. picture, mask: from /api/pictures, white is drawn.
    options: of the task, such as {"strength": 0.5}."""

    run: str
    task: str
    picture: str
    mask: str | None = None
    options: dict = field(default_factory=dict)
    seed: int = 0
    number: int = 4
    label: str | None = None
    prompt: str | None = None
    guidance: float = 1.0


@dataclass(frozen=True)
class LatentBody:
    """task: interpolate (two givens), arithmetic (A - B + C: three) or invert (one). givens: {"seed": 3} or
    {"picture": ...}. steps: of the sampler. count: images of an interpolation."""

    run: str
    task: str
    givens: list[dict]
    steps: int = 25
    count: int = 9


@dataclass(frozen=True)
class NearestBody:
    """The cell of the picture drawn at a step: which training images are nearest to it."""

    run: str
    step: int
    cell: int


@dataclass(frozen=True)
class PlaneBody:
    """Two numbers of a model's latents, moved from -reach to reach."""

    run: str
    first: int = 0
    second: int = 1
    reach: float = 2.5
    seed: int = 0


async def sample(request: Request, body: SampleBody) -> Record:
    studio = studio_of(request)
    bounded("number", body.number, MOST_IMAGES)
    bounded("seed", body.seed, 2**32, least=0)
    conditions = {
        "label": body.label,
        "prompt": body.prompt,
        "map": _picture(studio, body.map),
        "image": _picture(studio, body.image),
        "vector": None if body.vector is None else str(vector_file(studio.settings.vectors, body.vector)),
    }
    wanted = {
        "run": _run(studio, body.run),
        "seed": body.seed,
        "number": body.number,
        "sampler": _spec(body.sampler),
        "conditions": conditions,
        "guidance": body.guidance,
    }
    return studio.compute("sample", f"Sampling {body.run}", wanted, body.run).summary()


async def edit(request: Request, body: EditBody) -> Record:
    studio = studio_of(request)
    bounded("number", body.number, MOST_VERSIONS)
    bounded("seed", body.seed, 2**32, least=0)
    if body.task not in EDITS:
        raise UserError(f"unknown task {body.task[:40]!r}; allowed: {', '.join(EDITS)}")
    if body.task == "inpaint" and body.mask is None:
        raise UserError("inpainting needs a mask: paint over what is to be drawn anew")
    if {"image", "mask"} & set(body.options):
        raise UserError("pictures are given as picture and mask, not among the options")
    bounded("steps", body.options.get("steps", 100), 1000)
    wanted = {
        "run": _run(studio, body.run),
        "task": body.task,
        "image": _picture(studio, body.picture),
        "mask": _picture(studio, body.mask),
        "options": body.options,
        "seed": body.seed,
        "number": body.number,
        "conditions": {"label": body.label, "prompt": body.prompt},
        "guidance": body.guidance,
    }
    return studio.compute("edit", f"{body.task.capitalize()} with {body.run}", wanted, body.run).summary()


async def mix(request: Request, body: LatentBody) -> Record:
    studio = studio_of(request)
    bounded("count", body.count, MOST_BETWEEN)
    bounded("steps", body.steps, 1000)
    if GIVENS.get(body.task) != len(body.givens):
        takes = ", ".join(f"{task} ({count})" for task, count in GIVENS.items())
        raise UserError(
            f"a task takes so many pictures or seeds: {takes}; got {body.task[:40]!r} and {len(body.givens)}"
        )
    wanted = {
        "run": _run(studio, body.run),
        "givens": [_given(studio, item) for item in body.givens],
        "steps": body.steps,
        "count": body.count,
    }
    return studio.compute(body.task, f"{body.task.capitalize()} with {body.run}", wanted, body.run).summary()


async def nearest(request: Request, body: NearestBody) -> Record:
    studio = studio_of(request)
    picture = studio.library.file(body.run, f"samples/{body.step}.png")
    wanted = {"run": _run(studio, body.run), "picture": str(picture), "cell": body.cell}
    return studio.compute_light("nearest", f"Nearest images of {body.run}", wanted).summary()


async def plane(request: Request, body: PlaneBody) -> Record:
    studio = studio_of(request)
    for name, value in (("first", body.first), ("second", body.second), ("seed", body.seed)):
        bounded(name, value, 2**16, least=0)
    wanted = {
        "run": _run(studio, body.run),
        "dims": [body.first, body.second],
        "reach": body.reach,
        "seed": body.seed,
    }
    return studio.compute("plane", f"Latents of {body.run}", wanted, body.run).summary()


async def describe(request: Request) -> Record:
    return await studio_of(request).registries()


def _run(studio: Studio, name: str) -> str:
    return str(studio.library.folder(name))


def _picture(studio: Studio, name: str | None) -> str | None:
    return None if name is None else str(picture_file(studio.settings.pictures, name))


def _given(studio: Studio, item: Record) -> Record:
    """{"seed": whole number} or {"picture": name}."""
    if set(item) == {"picture"} and isinstance(item["picture"], str):
        return {"seed": 0, "picture": _picture(studio, item["picture"])}
    if set(item) == {"seed"} and isinstance(item["seed"], int):
        bounded("seed", item["seed"], 2**32, least=0)
        return {"seed": item["seed"], "picture": None}
    raise UserError('a given is {"seed": number} or {"picture": name}')


def _spec(sampler: Record | None) -> Record | None:
    if sampler is not None:
        if not isinstance(sampler.get("kind"), str):
            raise UserError('a sampler is {"kind": name, ...}; names are in /api/registries')
        bounded("steps", sampler.get("steps", 50), 4000)
    return sampler


MODEL_ENDPOINTS = [
    Endpoint("GET", "/registries", describe, "Samplers and schedules with their options, as forms show them."),
    Endpoint("POST", "/sample", sample, "Draws images; a job that streams x_t and x_0 after every step.", SampleBody),
    Endpoint("POST", "/edit", edit, "Edits a picture; a job whose result is the versions.", EditBody),
    Endpoint("POST", "/latents", mix, "Interpolates, adds or inverts; a job.", LatentBody),
    Endpoint("POST", "/nearest", nearest, "The training images nearest to a drawn one; a job.", NearestBody),
    Endpoint("POST", "/plane", plane, "A plane of a vae's or a gan's latents; a job.", PlaneBody),
]
