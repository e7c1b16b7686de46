"""Endpoints that start trainings, stop them and go on."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from unnoise.errors import UserError
from unnoise.runs.config import parse_overrides, recipe_names, recipe_text
from unnoise.runs.curves import TAIL
from unnoise.studio.commands import Command
from unnoise.studio.endpoints import Endpoint
from unnoise.studio.holders import holder, locked_files
from unnoise.studio.jobs import FINISHED
from unnoise.studio.library import CONFIG_FILE, read_config
from unnoise.studio.paths import NotFound, inside, new_name
from unnoise.studio.sources import list_sources, resolve
from unnoise.studio.studio import Studio, studio_of


@dataclass(frozen=True)
class TrainBody:
    """source: a name of /api/sources. recipe: a built-in one. name: of the run's folder. set: KEY=VALUE, as --set."""

    source: str
    recipe: str = "ddpm"
    name: str = ""
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    set: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class GoOnBody:
    """When to stop, over all sessions; as before unless given."""

    steps: int | None = None
    minutes: float | None = None


async def show_sources(request: Request) -> dict[str, Any]:
    return {"sources": list_sources(studio_of(request).settings)}


async def show_recipes(request: Request) -> dict[str, Any]:
    return {"recipes": [{"name": name, **_about(recipe_text(name))} for name in recipe_names()]}


async def plan(request: Request, body: TrainBody) -> dict[str, Any]:
    studio = studio_of(request)
    wanted = _checked(studio, body)
    return studio.compute("plan", f"Plan of {wanted['name']}", wanted).summary()


async def start(request: Request, body: TrainBody) -> dict[str, Any]:
    studio = studio_of(request)
    wanted = _checked(studio, body)
    folder = studio.settings.folder / wanted["name"]
    _check_idle(studio, wanted["name"])
    arguments = ["train", wanted["source"], "--recipe", body.recipe, "--out", str(folder)]
    arguments += [*_limits(body.steps, body.minutes), "--seed", str(body.seed)]
    arguments += [f"--set={assignment}" for assignment in body.set]
    return studio.command("train", f"Training {wanted['name']}", arguments, wanted["name"]).summary()


async def go_on(request: Request, body: GoOnBody) -> dict[str, Any]:
    """The run's own configuration is the recipe that it goes on with."""
    studio, name = studio_of(request), request.path_params["run"]
    folder = studio.library.folder(name)
    _check_idle(studio, name)
    config = read_config(folder)
    arguments = ["train", str(config["source"]), "--recipe", str(folder / CONFIG_FILE), "--out", str(folder)]
    arguments += [*_limits(body.steps, body.minutes), "--seed", str(config.get("seed", 0))]
    return studio.command("train", f"Training {name}", arguments, name).summary()


async def stop(request: Request) -> dict[str, Any]:
    """Also of a training that was started elsewhere, where the system tells which process it is."""
    studio, name = studio_of(request), request.path_params["run"]
    folder = studio.library.folder(name)
    job = _training(studio, name)
    if job is not None:
        studio.queue.cancel(job)
        return {"stopping": name}
    process = holder(folder, locked_files())
    if process is None:
        raise UserError(f"nothing that this studio could stop is training in {name}")
    os.kill(process, signal.SIGTERM)
    return {"stopping": name}


async def show_log(request: Request) -> Response:
    """The end of a command's output."""
    job = studio_of(request).queue.get(request.path_params["job"])
    if not isinstance(job, Command):
        raise NotFound("this job has no log")
    return PlainTextResponse(_tail(job.log))


def _tail(log: Path) -> str:
    if not log.is_file():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - TAIL))
        return stream.read().decode(errors="replace")


def _checked(studio: Studio, body: TrainBody) -> dict[str, Any]:
    """The request as a training takes it; UserError for what it cannot be."""
    if body.recipe not in recipe_names():
        raise UserError(f"unknown recipe {body.recipe[:80]!r}; allowed: {', '.join(recipe_names())}")
    for name, value in (("steps", body.steps), ("minutes", body.minutes)):
        if value is not None and value <= 0:
            raise UserError(f"{name} has to be above 0, got {value:g}")
    overrides = parse_overrides(body.set)
    _check_paths(studio, overrides)
    source = resolve(studio.settings, body.source)
    stem = Path(body.source.replace(":", "-")).name.split(".")[0]
    name = new_name(body.name or f"{stem}-{body.recipe}")
    return {
        "source": source,
        "recipe": body.recipe,
        "name": name,
        "out": str(studio.settings.folder / name),
        "steps": body.steps,
        "minutes": body.minutes,
        "seed": body.seed,
        "overrides": overrides,
    }


def _check_paths(studio: Studio, value: Any) -> None:
    """Settings that name files may name those of the runs only."""
    if isinstance(value, dict):
        for item in value.values():
            _check_paths(studio, item)
    elif isinstance(value, list):
        for item in value:
            _check_paths(studio, item)
    elif isinstance(value, str) and (Path(value).is_absolute() or "/" in value or "\\" in value or ".." in value):
        path = Path(value)
        root = studio.settings.folder
        inside(root, path.relative_to(root).as_posix() if path.is_relative_to(root) else value)


def _limits(steps: int | None, minutes: float | None) -> list[str]:
    given = (("--steps", steps), ("--minutes", minutes))
    return [part for option, value in given if value is not None for part in (option, str(value))]


def _training(studio: Studio, run: str) -> Command | None:
    jobs = [job for job in studio.queue.jobs.values() if isinstance(job, Command) and job.kind == "train"]
    return next((job for job in jobs if job.run == run and job.state not in FINISHED), None)


def _check_idle(studio: Studio, run: str) -> None:
    if _training(studio, run) is not None:
        raise UserError(f"{run} is training or waits to")


def _about(text: str) -> dict[str, str]:
    """The comment at the head of a recipe: what it is, needs, costs, gives."""
    about: dict[str, str] = {}
    title, key = [], ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        content = line[1:]
        head = next((head for head in HEADS if content.strip().startswith(head)), None)
        key = head or key
        words = content.strip().removeprefix(head or "").strip()
        if key:
            about[key] = f"{about.get(key, '')} {words}".strip()
        elif words:
            title.append(words)
    return {"title": " ".join(title), **{HEADS[key]: value for key, value in about.items()}}


HEADS = {  # what the lines of a recipe's comment begin with
    "What it is": "is",
    "What it needs": "needs",
    "What it costs": "costs",
    "What to expect": "gives",
    "How to sample": "sampling",
}

TRAIN_ENDPOINTS = [
    Endpoint("GET", "/sources", show_sources, "What may be trained on."),
    Endpoint("GET", "/recipes", show_recipes, "The built-in recipes, with what they are."),
    Endpoint("POST", "/plan", plan, "Measures what a training would take; a job whose result is the plan.", TrainBody),
    Endpoint("POST", "/train", start, "Queues a training.", TrainBody),
    Endpoint("POST", "/runs/{run:path}/go-on", go_on, "Queues the rest of a run's training.", GoOnBody),
    Endpoint("POST", "/runs/{run:path}/stop", stop, "Stops a training after its step, saving it."),
    Endpoint("GET", "/jobs/{job}/log", show_log, "The end of what a command printed.", gives="text/plain"),
]
