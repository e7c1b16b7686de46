"""Latent diffusion before the first step: the autoencoder of another run, and the latents of a data set, made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unnoise.aliases import Record, Spec
from unnoise.data import Images
from unnoise.data.buckets import AnyImages
from unnoise.data.cache import cache_folder
from unnoise.errors import UserError
from unnoise.files import read_tensors, write_tensors
from unnoise.models import ImageModel
from unnoise.models.codec import Latents
from unnoise.models.pretrained_files import read_pretrained
from unnoise.progress import progress_bar
from unnoise.runs.run import Run

ROWS = 256


def with_autoencoder(spec: Spec) -> Record:
    """The [model] section with the autoencoder that its codec's `run` names written out.

    run: a run of an autoencoder, or a folder of a published one (`models.pretrained_files`).
    Raises UserError for a codec 'latents' that names no run.
    """
    codec = spec.get("codec")
    if not isinstance(codec, Mapping) or codec.get("kind") != "latents" or "autoencoder" in codec:
        return dict(spec)
    if not codec.get("run"):
        raise UserError("codec 'latents' needs a trained autoencoder: --set model.codec.run=RUN, see recipe vae-latent")
    folder = Path(codec["run"]).resolve()
    foreign = read_pretrained(folder)
    autoencoder = Run.open(folder).config["model"] if foreign is None else foreign[0]
    return {**spec, "codec": {"kind": "latents", "autoencoder": autoencoder, "run": str(folder)}}


def with_latents(model: ImageModel, images: AnyImages, device: str, keep: bool) -> AnyImages:
    """Fills a latent model's codec from its run and measures shift and scale; the images with their latents, if `keep`.

    Any other model, and its images, stay as they are.
    """
    codec = model.reconstructor
    if not model.works_in_latents or not isinstance(codec, Latents):
        return images
    assert isinstance(images, Images), "an autoencoder takes one shape"
    _fill(codec)
    codec.to(device)
    latents = _latents(codec, images, device)
    codec.measure(latents)
    return replace(images, latents=codec.normalised(latents.to(device)).cpu().numpy()) if keep else images


def _fill(codec: Latents) -> None:
    foreign = read_pretrained(Path(codec.run))
    if foreign is None:
        codec.network.load_state_dict(Run.open(codec.run).load("cpu").state_dict())
        return
    try:
        codec.network.load_state_dict(foreign[1])
    except RuntimeError as error:
        raise UserError(f"the weights in {codec.run} do not fit: {' '.join(str(error).split())[:300]}") from None


def _latents(codec: Latents, images: Images, device: str) -> Tensor:
    """The autoencoder's latents (N, c, h, w) of all images, kept in the cache; a damaged file is made anew."""
    weights = hashlib.sha256(
        b"".join(p.detach().cpu().numpy().tobytes() for p in codec.network.parameters())
    ).hexdigest()
    key = hashlib.sha256(json.dumps([images.fingerprint, weights]).encode()).hexdigest()[:32]
    file = cache_folder() / "latents" / f"{key}.bin"
    stored = read_tensors(file)
    if stored is None:
        stored = {"latents": _encode(codec, images, device)}
        write_tensors(file, stored)
    return stored["latents"]


@torch.no_grad()
def _encode(codec: Latents, images: Images, device: str) -> Tensor:
    with progress_bar() as progress:
        starts = progress.track(range(0, len(images), ROWS), description="encoding the images (once)")
        parts = [
            codec.network.encode(images.batch(np.arange(start, min(start + ROWS, len(images))), device).image).cpu()
            for start in starts
        ]
    return torch.cat(parts)
