"""How tools/fuzz.py opens its inputs: every reader, called as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_folders import Files, pipeline_files, run_files, tuned_files
from fuzz_inputs import picture


def opened_file(name: str) -> Callable[[Path, bytes], object]:
    """Writes the bytes under that name, beside nothing, and opens the file."""

    def attempt(folder: Path, data: bytes) -> object:
        (folder / name).write_bytes(data)
        return source(folder / name, folder)

    return attempt


def opened_folder(name: str, *others: str) -> Callable[[Path, bytes], object]:
    """Writes the bytes under that name, sound pictures under the others, and opens the folder."""

    def attempt(folder: Path, data: bytes) -> object:
        (folder / "set").mkdir()
        for other in others:
            (folder / "set" / other).write_bytes(picture("PNG"))
        (folder / "set" / name).write_bytes(data)
        return source(folder / "set", folder)

    return attempt


def source(path: Path, folder: Path) -> object:
    import unnoise

    images = unnoise.open_source(path, cache=folder / "cache", progress=False)
    return images.pixels[:1]


def loaded(folder: Path, change: tuple[str, bytes]) -> object:
    """A run with one file damaged: its log is read, and its model."""
    import unnoise
    from unnoise.runs.metrics_file import read_metrics

    written(folder, run_files(), change)
    read_metrics(folder)
    return unnoise.load(folder)


def tuned(folder: Path, change: tuple[str, bytes]) -> object:
    """The sampler that was found for a run."""
    import unnoise

    written(folder, {**run_files(), **tuned_files()}, change)
    return unnoise.Run.open(folder).tuned(5)


def imported(folder: Path, change: tuple[str, bytes]) -> object:
    """`unnoise import` of a folder of diffusers."""
    from unnoise.interop.formats import import_run

    written(folder / "pipeline", pipeline_files(), change)
    return import_run(folder / "pipeline", folder / "run")


def autoencoder_read(files: Callable[[], Files]) -> Callable[[Path, tuple[str, bytes]], object]:
    """A latent diffusion on a published autoencoder with one file damaged."""

    def attempt(folder: Path, change: tuple[str, bytes]) -> object:
        from unnoise.data import Images
        from unnoise.training.latents import with_latents
        from unnoise.training.setup import build_parts

        written(folder, files(), change)
        network = {"kind": "unet", "channels": 8, "multipliers": [1], "attention": []}
        codec = {"kind": "latents", "run": str(folder)}
        model, _ = build_parts({"model": {"network": network, "codec": codec}}, (1, 8, 8), 0)
        return with_latents(model, Images(np.zeros((2, 1, 8, 8), np.uint8)), "cpu", keep=False)

    return attempt


def mask_read(folder: Path, data: bytes) -> object:
    """A mask for an edit."""
    from unnoise.io.masks import marked
    from unnoise.io.picture_reader import read_picture
    from unnoise.io.tree import InMemory

    return marked(read_picture(InMemory("mask.png", data), None), "mask.png")


def statistics_read(folder: Path, data: bytes) -> object:
    """FID statistics as the reference of `unnoise evaluate`."""
    from unnoise.evaluation.moments import read_moments

    (folder / "stats.npz").write_bytes(data)
    return read_moments(folder / "stats.npz")


def tensors_read(folder: Path, data: bytes) -> object:
    """A file of the cache: latents, text embeddings, features."""
    from unnoise.files import read_tensors

    (folder / "cache.bin").write_bytes(data)
    return read_tensors(folder / "cache.bin")


def cache_opened(folder: Path, change: tuple[int, bytes]) -> object:
    """A set whose entry in the cache was damaged after it was packed: it must open."""
    number, data = change
    source_of(folder)
    files = sorted(path for path in (folder / "cache").rglob("*") if path.is_file())
    files[number % len(files)].write_bytes(data)
    try:
        return source_of(folder)
    except ValueError as error:
        raise RuntimeError("a damaged cache was not built again") from error


def source_of(folder: Path) -> object:
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / "a.png").write_bytes(picture("PNG"))
    return source(folder / "set", folder)


def written(folder: Path, files: Files, change: tuple[str, bytes]) -> None:
    """Writes the files, one of them changed."""
    for name, data in {**files, change[0]: change[1]}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def recipe_read(folder: Path, data: bytes) -> object:
    from unnoise.runs.config import read_recipe

    (folder / "recipe.toml").write_bytes(data)
    return read_recipe(str(folder / "recipe.toml"))


def planned(folder: Path, change: tuple[str, Any]) -> object:
    """`unnoise train --dry-run --set KEY=VALUE` on a small recipe."""
    import unnoise
    from unnoise.runs.config import parse_overrides

    key, value = change
    text = value if isinstance(value, str) else json.dumps(value)
    small = {"model.network.channels": 8, "model.network.multipliers": [1], "train.batch_size": 4}
    overrides = {**small, **parse_overrides([f"{key}={text}"])}
    return unnoise.train("digits", recipe="ddpm-digits", out=folder / "run", steps=1, overrides=overrides, dry_run=True)


def sampler_built(folder: Path, spec: Any) -> object:
    from unnoise.process.schedule import LinearBetas
    from unnoise.registry import build
    from unnoise.samplers import SAMPLERS

    return build(SAMPLERS, spec, "sampler").times(LinearBetas())


def sampler_parsed(folder: Path, text: str) -> object:
    from unnoise.samplers.spec import parse_sampler

    return sampler_built(folder, parse_sampler(text))
