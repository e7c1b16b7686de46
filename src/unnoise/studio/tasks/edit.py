"""Edits that draw: inpaint, outpaint, upscale, colourise, deblur, vary."""

from __future__ import annotations

from pathlib import Path

from unnoise.aliases import Record
from unnoise.editing import Colourise, Deblur, Edit, Editor, Inpaint, Outpaint, Upscale, Vary
from unnoise.models import CanDenoise
from unnoise.models.image_model import require
from unnoise.process.denoiser import CountingDenoiser
from unnoise.registry import build
from unnoise.sampling.conditions import rows_of
from unnoise.studio.tasks.models import asked_of, open_run
from unnoise.studio.tasks.pictures import tiles
from unnoise.studio.worker import Emit

TASKS: dict[str, type[Edit]] = {work.name: work for work in (Inpaint, Outpaint, Upscale, Colourise, Deblur, Vary)}


def edit(request: Record, emit: Emit) -> Record:
    """Emits how many network calls were made; gives the versions, one per seed, beside what was given."""
    work = _work(request)
    run, model = open_run(request["run"])
    able = require(model, CanDenoise, f"unnoise edit {work.name}")
    work = work.within(able.schedule)
    cond, guide = asked_of(request, run, model)
    seeds, calls = range(request["seed"], request["seed"] + request["number"]), [0]

    def count(images: int) -> None:
        calls[0] += 1
        emit({"event": "step", "index": calls[0], "of": max(work.calls, calls[0])})

    denoiser = CountingDenoiser(able if guide is None else guide(able), count)
    sampling = CountingDenoiser(able.guided(guide), count)
    codec = able.codec if model.works_in_latents else None
    editor = Editor(model, denoiser, sampling, seeds, rows_of(cond, 0, len(seeds)), codec)
    edited = work.apply(editor)
    return {
        "before": tiles(edited.before.clamp(-1, 1)),
        "pictures": [tiles(image[None]) for image in edited.after],
        "seeds": list(seeds),
        "network_calls": calls[0],
    }


def _work(request: Record) -> Edit:
    given = {**request["options"], "image": Path(request["image"])}
    if request["mask"] is not None:
        given["mask"] = Path(request["mask"])
    return build(TASKS, {"kind": request["task"], **given}, "edit")
