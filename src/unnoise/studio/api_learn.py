"""Endpoints for the lecturer."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.studio.checks import bounded
from unnoise.studio.endpoints import Endpoint
from unnoise.studio.studio import studio_of
from unnoise.studio.uploads import picture_file

MIXTURES = ("two", "three", "ring")


@dataclass(frozen=True)
class ForwardBody:
    """A picture and schedules, {kind, ...}: the forward process with the same noise in each."""

    picture: str
    schedules: list[dict]
    seed: int = 0


@dataclass(frozen=True)
class FlowBody:
    """mixture: two, three or ring."""

    mixture: str = "ring"
    schedule: dict = field(default_factory=lambda: {"kind": "rectified-flow"})
    sampler: dict = field(default_factory=lambda: {"kind": "ddim", "steps": 20})
    number: int = 300
    seed: int = 0


@dataclass(frozen=True)
class CollapseBody:
    """penalty: weight of R1 on data, 0 for none. rate: the generator's learning rate."""

    mixture: str = "ring"
    penalty: float = 0.0
    rate: float = 0.001
    steps: int = 2000
    seed: int = 0


async def forward(request: Request, body: ForwardBody) -> Record:
    studio = studio_of(request)
    if not 1 <= len(body.schedules) <= 4:
        raise UserError(f"1 to 4 schedules can be shown, got {len(body.schedules)}")
    bounded("seed", body.seed, 2**32, least=0)
    picture = str(picture_file(studio.settings.pictures, body.picture))
    wanted = {"picture": picture, "schedules": body.schedules, "seed": body.seed}
    return studio.compute_light("forward", "The forward process", wanted).summary()


async def flow(request: Request, body: FlowBody) -> Record:
    _known_mixture(body.mixture)
    bounded("number", body.number, 1000)
    bounded("seed", body.seed, 2**32, least=0)
    bounded("steps", body.sampler.get("steps", 50), 200)
    return studio_of(request).compute_light("flow", "Samples of a mixture", dict(body.__dict__)).summary()


async def collapse(request: Request, body: CollapseBody) -> Record:
    _known_mixture(body.mixture)
    bounded("steps", body.steps, 20_000)
    bounded("seed", body.seed, 2**32, least=0)
    if not (0 <= body.penalty <= 100 and 0 < body.rate <= 1):
        raise UserError("penalty lies in [0, 100] and rate in (0, 1]")
    return studio_of(request).compute_light("collapse", "A GAN on a mixture", dict(body.__dict__)).summary()


def _known_mixture(name: str) -> None:
    if name not in MIXTURES:
        raise UserError(f"unknown mixture {name[:40]!r}; allowed: {', '.join(MIXTURES)}")


LEARN_ENDPOINTS = [
    Endpoint("POST", "/learn/forward", forward, "x_t of a picture, and the curves of schedules; a job.", ForwardBody),
    Endpoint("POST", "/learn/flow", flow, "Samples carried to a mixture by its exact score; a job.", FlowBody),
    Endpoint("POST", "/learn/collapse", collapse, "A GAN that learns a mixture; a job.", CollapseBody),
]
