"""A folder that diffusers saved, as a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.interop.diffusers_dit import read_dit, without_tables
from unnoise.interop.diffusers_scheduler import read_scheduler
from unnoise.interop.diffusers_unet import Described, read_unet, without_classes
from unnoise.interop.new_run import new_run
from unnoise.interop.parts import NOTHING, Classes, Part, classes_of
from unnoise.interop.sidecar import Sidecar, read_sidecar
from unnoise.io.json_file import read_json
from unnoise.models.pretrained_files import read_pretrained, renamed
from unnoise.models.tensor_files import read_weights
from unnoise.process.parametrization import PARAMETRIZATIONS
from unnoise.process.schedule import SCHEDULES
from unnoise.registry import spec_of
from unnoise.runs.run import Run

INDEX, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
UNET, TRANSFORMER = "unet", "transformer"
WEIGHTS = "diffusion_pytorch_model.safetensors"
SCALE = 0.18215
"""Of latents, where the configuration of an autoencoder says nothing."""
AUTOENCODERS = ("vae", "vqvae")
"""The folders in which pipelines keep the autoencoder of a latent diffusion."""


def import_diffusers(folder: str | Path, out: str | Path, *, source: str = "", size: int | None = None) -> Run:
    """A run with the network, the schedule and the weights of a pipeline's folder.

    Args:
        folder: what `save_pretrained` of a pipeline with a UNet2DModel or a DiTTransformer2DModel wrote:
            model_index.json, unet/ or transformer/, scheduler/, and vae/ or vqvae/ where it works in latents.
        out: the run's folder.
        source: the images that the model was trained on: what `evaluate` measures against unless it is given others.
        size: the side of the images, where the network's configuration does not say.

    Raises:
        UserError: for what has no counterpart, saying what, and for files that are missing or damaged.
    """
    folder = Path(folder)
    index = read_json(folder / INDEX)
    unet = _network(folder)
    sidecar = _labels(index, unet.conditions.rows) if unet.is_dit else read_sidecar(folder)
    scheduler = folder / "scheduler" / SCHEDULER
    process = read_scheduler(read_json(scheduler), str(scheduler))
    if unet.is_dit:  # whose scheduler does not say what its answers hold
        process = process._replace(learned_variance=unet.outputs == 2 * unet.shape[0])
    if unet.outputs != unet.shape[0] * (2 if process.learned_variance else 1):
        raise UserError(f"{folder}: the network answers {unet.outputs} channels to {unet.shape[0]}, which is not read")
    latent = _sized(unet.shape, size, folder)
    network = {**unet.spec, "num_train_timesteps": _timesteps(unet, int(process.schedule.t_max), folder)}
    codec, shape = _codec(folder, latent)
    rest, table = _network_weights(folder, unet)
    conditioner, classes = _conditioner(unet, table, sidecar, rest)
    model = {
        "kind": "diffusion",
        "clip": process.clip,
        "learned_variance": process.learned_variance,
        "network": network,
        "schedule": spec_of(SCHEDULES, process.schedule),
        "parametrization": spec_of(PARAMETRIZATIONS, process.parametrization),
        "codec": codec.spec,
        **({"conditioner": conditioner.spec} if conditioner.spec else {}),
    }
    weights = {**{f"network.{name}": value for name, value in rest.items()}, **codec.weights, **conditioner.weights}
    sampler = sidecar.sampler or process.sampler
    return new_run(Path(out), model, weights, shape=shape, classes=classes, sampler=sampler, source=source)


def _network(folder: Path) -> Described:
    """What the network is: a UNet2DModel in unet/, or a DiTTransformer2DModel in transformer/."""
    if (folder / TRANSFORMER).is_dir():
        return read_dit(read_json(folder / TRANSFORMER / CONFIG), str(folder / TRANSFORMER / CONFIG))
    return read_unet(read_json(folder / UNET / CONFIG), str(folder / UNET / CONFIG))


def _labels(index: Spec, rows: int) -> Sidecar:
    """The names of the classes that a pipeline's model_index.json gives, by their numbers."""
    given = index.get("id2label")
    if not isinstance(given, dict):
        return Sidecar(no_class=True)
    return Sidecar([str(given.get(str(number), number)) for number in range(rows - 1)], no_class=True)


def _sized(shape: tuple[int, int, int], size: int | None, folder: Path) -> tuple[int, int, int]:
    channels, height, width = shape
    if height and width:
        return shape
    if size is None:
        raise UserError(f"{folder} does not say how large its images are: give --size")
    return channels, size, size


def _timesteps(unet: Described, steps: int, folder: Path) -> int:
    """How many the network knows: as many as the scheduler, whatever its own file says, unless it learned them."""
    rows = unet.spec["num_train_timesteps"]
    if unet.spec.get("time_embedding_type") == "learned" and rows != steps:
        raise UserError(f"{folder}: the network has learned {rows} timesteps, and the scheduler has {steps}")
    return steps


def _network_weights(folder: Path, unet: Described) -> tuple[dict[str, Tensor], Tensor | None]:
    if unet.is_dit:
        file = folder / TRANSFORMER / WEIGHTS
        return without_tables(read_weights(file), unet.spec["num_layers"], str(file))
    weights = dict(renamed(*item) for item in read_weights(folder / UNET / WEIGHTS).items())
    return without_classes(weights, unet.conditions)


def _codec(folder: Path, latent: tuple[int, int, int]) -> tuple[Part, tuple[int, int, int]]:
    """The codec, and the shape of the images."""
    found = [folder / name for name in AUTOENCODERS if (folder / name).is_dir()]
    if not found:
        return Part({"kind": "pixels"}, {}), latent
    config = read_json(found[0] / CONFIG)
    pretrained = read_pretrained(found[0])
    assert pretrained is not None  # there is a config.json
    spec, tensors = pretrained
    factor = 2 ** (len(spec["widths"]) - 1)
    weights = {f"codec.network.{name}": value for name, value in tensors.items()}
    weights["codec.scale"] = torch.tensor(float(config.get("scaling_factor", SCALE) or 1.0))
    shift = float(config.get("shift_factor") or 0.0)
    weights["codec.shift"] = torch.full((latent[0], 1, 1), shift)
    shape = spec["channels"], factor * latent[1], factor * latent[2]
    return Part({"kind": "latents", "autoencoder": spec, "run": str(found[0].resolve())}, weights), shape


def _conditioner(unet: Described, table: Tensor | None, sidecar: Sidecar, network: Mapping[str, Tensor]) -> Classes:
    if unet.conditions.kind == "classes":
        assert table is not None
        return classes_of(table, no_class=sidecar.no_class, names=sidecar.classes)
    if unet.conditions.kind:
        width = len(network["time_embedding.linear_2.bias"])
        return Classes(_vector(width if unet.conditions.kind == "identity" else 1), ())
    return Classes(NOTHING, ())


def _vector(width: int) -> Part:
    """A conditioner that hands a vector on as it is."""
    weights = {"project.weight": torch.eye(width), "project.bias": torch.zeros(width), "nothing": torch.zeros(width)}
    spec = {"kind": "vector", "features": width, "dim": width}
    return Part(spec, {f"conditioner.{name}": value for name, value in weights.items()})
