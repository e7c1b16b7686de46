"""What tools/fuzz.py damages: the files of runs, of the cache and of other libraries, made once."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fuzz_inputs import damaged
from hypothesis import strategies as st

Files = dict[str, bytes]
"""Relative name -> what it holds."""


@cache
def cache_file() -> bytes:
    """As `write_tensors` leaves it."""
    import torch

    from unnoise.files import write_tensors

    path = Path(tempfile.mkdtemp()) / "cache.bin"
    write_tensors(path, {"latents": torch.zeros(2, 3)})
    return path.read_bytes()


@cache
def run_folder() -> Path:
    """A run of one step, made once."""
    import unnoise

    folder = Path(tempfile.mkdtemp()) / "run"
    small = {"model.network.channels": 8, "model.network.multipliers": [1], "train.batch_size": 4, "train.samples": 0}
    unnoise.train("digits", recipe="ddpm-digits", out=folder, steps=1, overrides=small)
    return folder


@cache
def run_files() -> Files:
    """Those of the run that `load` reads, and its log."""
    wanted = ("config.toml", "metrics.jsonl")
    return files_of(run_folder(), lambda path: path.name in wanted or "checkpoints" in path.parts)


@cache
def tuned_files() -> Files:
    """A sampler as `unnoise tune` keeps it."""
    from unnoise.registry import spec_of
    from unnoise.samplers import DDIM, SAMPLERS

    return {"tuned/5.json": json.dumps({"sampler": spec_of(SAMPLERS, DDIM(steps=5)), "calls": 5}).encode()}


@cache
def pipeline_files() -> Files:
    """A run as a folder of diffusers."""
    import unnoise
    from unnoise.interop.formats import export_run

    folder = Path(tempfile.mkdtemp())
    small = {"train.batch_size": 4, "train.samples": 0, "data.size": 16, "data.limit": 8}
    network = {
        "block_out_channels": [8, 8],
        "down_block_types": ["DownBlock2D"] * 2,
        "up_block_types": ["UpBlock2D"] * 2,
    }
    network |= {"layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 8}
    overrides = {**small, **{f"model.network.{name}": value for name, value in network.items()}}
    run = unnoise.train("digits", recipe="ddpm-diffusers", out=folder / "run", steps=1, overrides=overrides)
    export_run(run, "diffusers", folder / "pipeline")
    return files_of(folder / "pipeline")


@cache
def autoencoder_files() -> Files:
    """A tiny AutoencoderKL of diffusers."""
    from safetensors.torch import save

    from unnoise.models.pretrained import AutoencoderKL

    model = AutoencoderKL((1, 8, 8), channels=1, latent=2, widths=(4,), blocks=1, groups=2)
    config = {"_class_name": "AutoencoderKL", "in_channels": 1, "latent_channels": 2, "block_out_channels": [4]}
    text = json.dumps({**config, "layers_per_block": 1, "norm_num_groups": 2}).encode()
    return {"config.json": text, "diffusion_pytorch_model.safetensors": save(model.state_dict())}


@cache
def tiny_autoencoder_files() -> Files:
    """TAESD's encoder and decoder, as torch writes them."""
    import torch

    from unnoise.published.taesd import tiny_decoder, tiny_encoder

    made = {}
    for name, network in (("encoder", tiny_encoder(1, 2, False)), ("decoder", tiny_decoder(1, 2, False))):
        torch.save(network.state_dict(), buffer := io.BytesIO())
        made[f"tiny_{name}.pth"] = buffer.getvalue()
    return made


def files_of(folder: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Files:
    """Relative name -> bytes."""
    found = [path for path in folder.rglob("*") if path.is_file() and wanted(path)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def changes(files: Callable[[], Files]) -> Callable[[], st.SearchStrategy[tuple[str, bytes]]]:
    """One of the files, damaged."""

    def drawn() -> st.SearchStrategy[tuple[str, bytes]]:
        return st.sampled_from(sorted(files())).flatmap(
            lambda name: st.tuples(st.just(name), damaged((files()[name],)))
        )

    return drawn
