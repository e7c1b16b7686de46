"""A checkpoint of denoising-diffusion-pytorch's Trainer, as a run: its Unet is our `linear-attention-unet`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from unnoise.aliases import Record, Spec
from unnoise.errors import UserError
from unnoise.interop.new_run import new_run
from unnoise.models.tensor_files import state_dict, whole
from unnoise.process.parametrization import PARAMETRIZATIONS, X0, Eps, Parametrization, V
from unnoise.process.schedule import SCHEDULES, Betas, CosineBetas, GivenBetas, LinearBetas, Schedule
from unnoise.registry import arguments_of, spec_of
from unnoise.runs.run import Run

NETWORK, AVERAGE = "model.", "ema_model."
"""Prefixes: of the network in the state dict of a GaussianDiffusion, of that in the state dict of its EMA."""
BETAS, WEIGHT = "betas", "loss_weight"
CLOSE = 1e-5
"""How far betas in float32 are from those that they were rounded from, relative to the largest."""


@dataclass(frozen=True)
class Settings:
    """What the model was made with and its file does not say.

    Args:
        auto_normalize: whether images were brought from [0, 1] to [-1, 1], as they are unless it was turned off; what
            was trained on [0, 1] has no counterpart.
    """

    auto_normalize: bool = True


class Objective(NamedTuple):
    """What the network was trained to predict, and up to which signal-to-noise ratio errors count (None: all)."""

    parametrization: Parametrization
    min_snr_gamma: float | None


def import_ddpytorch(
    checkpoint: Spec,
    file: Path,
    out: Path,
    *,
    source: str = "",
    size: int | None = None,
    options: Spec | None = None,
) -> Run:
    """A run with the network and the process of a Trainer's model-N.pt: its weights, and their average.

    Args:
        checkpoint: what the file holds: 'model', a GaussianDiffusion's state dict, and 'ema', that of its average.
        file: where it comes from, for messages.
        out: the run's folder.
        source: the images that the model was trained on.
        size: the side of the images.
        options: `Settings`.

    Raises:
        UserError: for what has no counterpart, and for what has to be given and is not.
    """
    if size is None:
        raise UserError(f"{file} does not say how large its images are: give --size")
    settings = Settings(**arguments_of(Settings, options or {}, f"{file.name} (--set OPTION=VALUE)"))
    if not settings.auto_normalize:
        raise UserError(f"{file}: diffusion of images in [0, 1] has no counterpart; here they are in [-1, 1]")
    trained = whole(state_dict(checkpoint["model"], f"'model' of {file}"), file)
    average = whole(_average(checkpoint, file), file)
    network = _network(average, file)
    schedule = _schedule(average, file)
    objective = _objective(average, schedule, file)
    channels = len(average[f"{NETWORK}final_conv.weight"])
    model = {
        "kind": "diffusion",
        "clip": True,
        "network": {**network, "num_train_timesteps": int(schedule.t_max)},
        "schedule": spec_of(SCHEDULES, schedule),
        "parametrization": spec_of(PARAMETRIZATIONS, objective.parametrization),
    }
    return new_run(
        out,
        model,
        _of_network(average),
        raw=_of_network(trained),
        shape=(channels, size, size),
        classes=(),
        objective=_training(objective),
        sampler={"kind": "ddpm", "steps": int(schedule.t_max), "variance": "beta-tilde"},
        source=source,
    )


def _average(checkpoint: Spec, file: Path) -> dict[str, Tensor]:
    """The state dict of the averaged GaussianDiffusion; of the trained one where no average was kept."""
    if "ema" not in checkpoint:
        return state_dict(checkpoint["model"], f"'model' of {file}")
    found = state_dict(checkpoint["ema"], f"'ema' of {file}")
    return {name.removeprefix(AVERAGE): value for name, value in found.items() if name.startswith(AVERAGE)}


def _of_network(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        f"network.{name.removeprefix(NETWORK)}": value for name, value in weights.items() if name.startswith(NETWORK)
    }


def _network(weights: Mapping[str, Tensor], file: Path) -> Record:
    """The [model.network] section that the shapes tell."""
    first, last, time = (
        _weight(weights, name, file) for name in ("init_conv.weight", "final_conv.weight", "time_mlp.1.weight")
    )
    dim, features = len(time) // 4, time.shape[1]
    if features != dim:
        raise UserError(f"{file}: learned or random time features have no counterpart")
    if first.shape[1] == 2 * len(last):
        raise UserError(f"{file}: self-conditioning, a network that is given its last answer, has no counterpart")
    if first.shape[1] != len(last):
        raise UserError(f"{file}: the network answers {len(last)} channels to {first.shape[1]}, which is not read")
    levels = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith(f"{NETWORK}downs."))
    widths = [len(_weight(weights, f"downs.{level}.3{_then(level, levels)}.weight", file)) for level in range(levels)]
    if any(width % dim for width in widths):
        raise UserError(f"{file}: the widths {widths} are no multiples of {dim}")
    full = [f"{NETWORK}downs.{level}.2.to_out.weight" in weights for level in range(levels)]
    memories = [_weight(weights, f"downs.{level}.2.mem_kv", file).shape[1:] for level in range(levels)]
    return {
        "kind": "linear-attention-unet",
        "dim": dim,
        "first_dim": len(first),
        "multipliers": [width // dim for width in widths],
        "full_attention": full,
        "heads": [heads for heads, _, _ in memories],
        "head_dim": [b if is_full else a for is_full, (_, a, b) in zip(full, memories, strict=True)],
        "memory": memories[0][1 if full[0] else 2],
    }


def _then(level: int, levels: int) -> str:
    """Where the convolution of a level's last part is: behind what takes squares of pixels apart, except at the end."""
    return "" if level == levels - 1 else ".1"


def _weight(weights: Mapping[str, Tensor], name: str, file: Path) -> Tensor:
    if NETWORK + name not in weights:
        raise UserError(
            f"{file} is no checkpoint of denoising-diffusion-pytorch's Unet of version 2: it has no {NETWORK}{name}"
        )
    return weights[NETWORK + name]


def _schedule(weights: Mapping[str, Tensor], file: Path) -> Schedule:
    """The schedule whose betas are in the file: one with a name where they are its own, rounded to float32."""
    betas = weights.get(BETAS)
    if betas is None or betas.ndim != 1 or len(betas) == 0:
        raise UserError(f"{file} has no {BETAS}: it is of no GaussianDiffusion")
    steps = len(betas)
    named: list[Betas] = [CosineBetas(steps)]
    if steps > 20:  # so that the last beta, 20 / steps, is below 1
        named.insert(0, LinearBetas(steps, 0.1 / steps, 20 / steps))
    for schedule in named:
        if torch.allclose(schedule.betas, betas.double(), rtol=CLOSE, atol=CLOSE * float(betas.max())):
            return schedule
    return GivenBetas(tuple(betas.tolist()))


def _objective(weights: Mapping[str, Tensor], schedule: Schedule, file: Path) -> Objective:
    """What the network predicts, read from the weight of its loss: the library weighs an error of x_0 by
    min(SNR, gamma) whatever is predicted, so exactly one prediction fits the weight of the target's error."""
    grid = schedule.grid
    assert grid is not None
    weight, snr = weights.get(WEIGHT), schedule.log_snr(grid).exp()
    if weight is None or weight.shape != snr.shape:
        raise UserError(f"{file} has no {WEIGHT}: it is of no GaussianDiffusion")
    as_x_0 = {Eps: weight * snr, X0: weight.double(), V: weight * (snr + 1)}
    for parametrization, counted in as_x_0.items():
        gamma = float(counted.max())
        if torch.allclose(counted, snr.clamp(max=gamma), rtol=1e-2, atol=0):
            return Objective(parametrization(), None if gamma > 0.9 * float(snr.max()) else gamma)
    raise UserError(f"{file}: the weight of its loss is that of none of pred_noise, pred_x0 and pred_v")


def _training(objective: Objective) -> Record:
    """The [objective] section that goes on with the same loss."""
    gamma = objective.min_snr_gamma
    # P2 with gamma 0 counts errors of eps alike, whatever is predicted, as the weight of the library does.
    weight = {"kind": "p2", "gamma": 0.0} if gamma is None else {"kind": "min-snr", "gamma": round(gamma, 3)}
    return {"kind": "denoising", "weight": weight}
