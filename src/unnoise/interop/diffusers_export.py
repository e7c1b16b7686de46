"""A run as a folder that diffusers loads."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from unnoise.aliases import Record
from unnoise.files import claim, json_text, new_folder
from unnoise.interop.diffusers_component import LIBRARIES, component
from unnoise.interop.diffusers_scheduler import scheduler_config
from unnoise.interop.diffusers_vae import vae_files
from unnoise.interop.options import ExportOptions
from unnoise.interop.sidecar import Sidecar, write_sidecar
from unnoise.models import Diffusion
from unnoise.runs.run import Run

VERSION = "0.35.0"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def export_diffusers(run: Run, out: Path, *, overwrite: bool = False, options: ExportOptions | None = None) -> Record:
    """Writes a run as a pipeline of diffusers: DDPMPipeline, or LDMPipeline where it works in latents.

    The network is a UNet2DModel where that is the same function, and else `diffusers_network.UnnoiseNetwork`.

    Args:
        run: a diffusion run.
        out: the folder.
        overwrite: whether an existing folder may be replaced.
        options: nothing but the defaults: a pipeline is told its steps and its guidance when it is called.

    Returns:
        run, out, pipeline, network (its class there), needs (only where that is a class of ours), parameters.

    Raises:
        NotApplicable: for what diffusers has no class for, saying what.
        UserError: where the folder holds something.
    """
    (options or ExportOptions()).only_default("a pipeline of diffusers is told them when it is called")
    claim(out, overwrite=overwrite, inputs=[run.folder])
    model = run.diffusion("exporting to diffusers", "cpu")
    model.scalars.refuse("a pipeline of diffusers")
    unet = component(model)
    variance = str(run.config.get("sampler", {}).get("variance", "beta-tilde"))
    scheduler = scheduler_config(
        model.schedule,
        model.parametrization,
        clip=model.clip,
        variance="learned" if model.learned_variance else variance,
    )
    autoencoder = vae_files(model)
    pipeline = "DDPMPipeline" if autoencoder is None else "LDMPipeline"
    with new_folder(out) as partial:
        _write(partial / "unet", unet.config, unet.weights)
        if autoencoder is not None:
            _write(partial / "vqvae", *autoencoder)
        (partial / "scheduler").mkdir()
        _write_json(partial / "scheduler" / "scheduler_config.json", scheduler)
        _write_json(partial / "model_index.json", _index(pipeline, unet.kind))
        write_sidecar(partial, Sidecar(run.classes or _clusters(model), unet.has_classes, run.config.get("sampler")))
    return {
        "run": str(run.folder),
        "out": str(out),
        "pipeline": pipeline,
        "network": unet.kind,
        **({} if unet.why is None else {"needs": f"import {LIBRARIES[unet.kind]} before from_pretrained: {unet.why}"}),
        "parameters": sum(value.numel() for value in unet.weights.values()),
    }


def _clusters(model: Diffusion) -> list[str]:
    """Names of the clusters that a model draws by itself, which a pipeline has to be given as classes."""
    count = 0 if model.conditioner is None else model.conditioner.choices.get("cluster", 0)
    return [f"cluster {number}" for number in range(count)]


def _index(pipeline: str, network: str) -> Record:
    parts = {"unet": network, "scheduler": "DDPMScheduler"}
    if pipeline == "LDMPipeline":
        parts = {"unet": network, "scheduler": "DDIMScheduler", "vqvae": "AutoencoderKL"}
    named = {name: [LIBRARIES.get(cls, "diffusers"), cls] for name, cls in parts.items()}
    return {"_class_name": pipeline, "_diffusers_version": VERSION, **named}


def _write(folder: Path, config: Record, weights: dict[str, Tensor]) -> None:
    folder.mkdir()
    _write_json(folder / "config.json", config)
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _write_json(path: Path, content: Record) -> None:
    path.write_text(json_text(content, indent=2), encoding="utf-8")
