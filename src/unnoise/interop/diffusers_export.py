"""A run as a folder that diffusers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import NotApplicable
from unnoise.files import claim, json_text, new_folder
from unnoise.interop.diffusers_scheduler import scheduler_config
from unnoise.interop.diffusers_unet import folded_table, unet_config
from unnoise.interop.diffusers_vae import vae_files
from unnoise.interop.options import ExportOptions
from unnoise.interop.sidecar import Sidecar, write_sidecar
from unnoise.interop.unet_as_unet2d import as_unet2d
from unnoise.models import Diffusion
from unnoise.networks import UNet2D
from unnoise.networks.conditioning import ClassConditioner, VectorConditioner
from unnoise.runs.run import Run

VERSION = "0.35.0"
WEIGHTS = "diffusion_pytorch_model.safetensors"
Files = tuple[dict[str, Any], dict[str, Tensor]]
"""A config.json, and the weights beside it."""


def export_diffusers(run: Run, out: Path, *, overwrite: bool = False, options: ExportOptions | None = None) -> Record:
    """Writes a run as a pipeline of diffusers: DDPMPipeline, or LDMPipeline where it works in latents.

    Args:
        run: a diffusion run.
        out: the folder.
        overwrite: whether an existing folder may be replaced.
        options: nothing but the defaults: a pipeline is told its steps and its guidance when it is called.

    Returns:
        run, out, pipeline, parameters.

    Raises:
        NotApplicable: for what diffusers has no class for, saying what.
        UserError: where the folder holds something.
    """
    (options or ExportOptions()).only_default("a pipeline of diffusers is told them when it is called")
    claim(out, overwrite=overwrite, inputs=[run.folder])
    model = run.diffusion("exporting to diffusers", "cpu")
    model.scalars.refuse("a pipeline of diffusers")
    network = as_unet2d(model)
    config, weights = _network(model, network)
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
        _write(partial / "unet", config, weights)
        if autoencoder is not None:
            _write(partial / "vqvae", *autoencoder)
        (partial / "scheduler").mkdir()
        _write_json(partial / "scheduler" / "scheduler_config.json", scheduler)
        _write_json(partial / "model_index.json", _index(pipeline))
        has_classes = config["num_class_embeds"] is not None
        write_sidecar(partial, Sidecar(run.classes, has_classes, run.config.get("sampler")))
    return {
        "run": str(run.folder),
        "out": str(out),
        "pipeline": pipeline,
        "parameters": sum(value.numel() for value in weights.values()),
    }


def _network(model: Diffusion, network: UNet2D) -> Files:
    weights = dict(network.state_dict())
    conditioner = model.conditioner
    if network.spatial_channels:
        raise NotApplicable("diffusers' UNet2DModel takes no spatial conditioning, which this run has")
    if conditioner is None:
        return unet_config(network, 0), weights
    if isinstance(conditioner, ClassConditioner):
        table = folded_table(network, conditioner.table.weight)
        own = {name: value for name, value in weights.items() if not name.startswith("class_embedding.")}
        return unet_config(network, len(table)), {**own, "class_embedding.weight": table}
    if isinstance(conditioner, VectorConditioner) and network.class_embed_type != "linear" and _hands_on(conditioner):
        return unet_config(network, 0), weights
    raise NotApplicable(f"diffusers' UNet2DModel has no counterpart of the conditions {', '.join(conditioner.names)}")


def _hands_on(conditioner: VectorConditioner) -> bool:
    """Whether the conditioner gives the network the vector as it is."""
    weight, bias = conditioner.project.weight, conditioner.project.bias
    return torch.equal(weight, torch.eye(len(weight)).to(weight)) and not bias.any()


def _index(pipeline: str) -> Record:
    parts = {"unet": "UNet2DModel", "scheduler": "DDPMScheduler"}
    if pipeline == "LDMPipeline":
        parts = {"unet": "UNet2DModel", "scheduler": "DDIMScheduler", "vqvae": "AutoencoderKL"}
    named = {name: ["diffusers", cls] for name, cls in parts.items()}
    return {"_class_name": pipeline, "_diffusers_version": VERSION, **named}


def _write(folder: Path, config: Record, weights: dict[str, Tensor]) -> None:
    folder.mkdir()
    _write_json(folder / "config.json", config)
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _write_json(path: Path, content: Record) -> None:
    path.write_text(json_text(content, indent=2), encoding="utf-8")
