"""A checkpoint of improved-diffusion or guided-diffusion, as a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.interop.guided_unet import OUTSIDE, RESNET, Block, GuidedUNet, Level, read_guided_unet
from unnoise.interop.new_run import new_run
from unnoise.interop.parts import NOTHING, Classes, Part, classes_of
from unnoise.interop.unet_as_unet2d import later
from unnoise.models.tensor_files import whole
from unnoise.process.parametrization import PARAMETRIZATIONS, X0, Eps
from unnoise.process.schedule import SCHEDULES, CosineBetas, LinearBetas, Schedule
from unnoise.registry import Positive, arguments_of, spec_of
from unnoise.runs.run import Run


@dataclass(frozen=True)
class Flags:
    """What the model was trained with and its file does not say, by the names of the library's flags.

    Args:
        diffusion_steps: of the schedule.
        noise_schedule: of its betas.
        num_heads: of the attention; needed unless num_head_channels is given, or there is no attention.
        num_head_channels: channels of a head.
        use_new_attention_order: whether queries, keys and values lie one after the other, and not head by head.
        predict_xstart: whether the network predicts the clean image and not the noise.
        rescale_timesteps: whether it is given timesteps on a scale of 0 to 1000; needed where there are other than
            1000 steps.
        sigma_small: whether the sampler's variance is beta-tilde and not beta, where it was not learned.
        no_class: whether the last class is that of no class.
    """

    diffusion_steps: Positive
    noise_schedule: Literal["linear", "cosine"]
    num_heads: Positive | None = None
    num_head_channels: Positive | None = None
    use_new_attention_order: bool = False
    predict_xstart: bool = False
    rescale_timesteps: bool | None = None
    sigma_small: bool = False
    no_class: bool = False

    @property
    def schedule(self) -> Schedule:
        if self.noise_schedule == "cosine":
            return CosineBetas(self.diffusion_steps)
        scale = 1000 / self.diffusion_steps
        return LinearBetas(self.diffusion_steps, scale * 1e-4, scale * 0.02)

    @property
    def timesteps(self) -> int:
        """On how long a scale the network is given the time."""
        return 1000 if self.rescale_timesteps else self.diffusion_steps


def import_guided(
    weights: Mapping[str, Tensor],
    file: Path,
    out: Path,
    *,
    source: str = "",
    size: int | None = None,
    options: Spec | None = None,
) -> Run:
    """A run with the network of a state dict, such as that of ema_0.9999_100000.pt.

    Args:
        weights: the state dict.
        file: where it comes from, for messages.
        out: the run's folder.
        source: the images that the model was trained on.
        size: the side of the images.
        options: the flags of the training that the file does not say: `Flags`.

    Raises:
        UserError: for what has no counterpart, and for what has to be given and is not.
    """
    if size is None:
        raise UserError(f"{file} does not say how large its images are: give --size")
    flags = _flags(options or {}, file)
    unet = read_guided_unet(whole(weights, file), str(file))
    learned = _learned_variance(unet, file)
    network = Part({**unet.spec(), **_heads(unet, flags, file)}, dict(_weights(unet, flags, file)))
    conditioner = classes_of(unet.table, no_class=flags.no_class) if unet.table is not None else Classes(NOTHING, ())
    _check_all_used(unet, network, file)
    model = {
        "kind": "diffusion",
        "clip": True,
        "learned_variance": learned,
        "network": {**network.spec, "num_train_timesteps": flags.timesteps},
        "schedule": spec_of(SCHEDULES, flags.schedule),
        "parametrization": spec_of(PARAMETRIZATIONS, X0() if flags.predict_xstart else Eps()),
        **({"conditioner": conditioner.part.spec} if conditioner.part.spec else {}),
    }
    variance = "learned" if learned else "beta-tilde" if flags.sigma_small else "beta"
    return new_run(
        out,
        model,
        {**network.weights, **conditioner.part.weights},
        shape=(unet.channels, size, size),
        classes=conditioner.names,
        sampler={"kind": "ddpm", "steps": flags.diffusion_steps, "variance": variance},
        source=source,
    )


def _flags(options: Spec, file: Path) -> Flags:
    flags = Flags(**arguments_of(Flags, options, f"{file.name} (--set FLAG=VALUE)"))
    if flags.diffusion_steps != 1000 and flags.rescale_timesteps is None:
        raise UserError(
            f"{file.name} with {flags.diffusion_steps} steps: give --set rescale_timesteps=true or false, as it was "
            "trained"
        )
    if flags.num_heads is not None and flags.num_head_channels is not None:
        raise UserError("give num_heads or num_head_channels, not both")
    return flags


def _learned_variance(unet: GuidedUNet, file: Path) -> bool:
    if unet.outputs not in (unet.channels, 2 * unet.channels):
        raise UserError(
            f"{file}: the network answers {unet.outputs} channels to {unet.channels}: a classifier, or a model of "
            "super-resolution; neither is read"
        )
    return unet.outputs == 2 * unet.channels


def _check_all_used(unet: GuidedUNet, network: Part, file: Path) -> None:
    rest = {name: value for name, value in unet.weights.items() if name != "label_emb.weight"}
    there, here = (sum(value.numel() for value in weights.values()) for weights in (rest, network.weights))
    if there != here:
        raise UserError(f"{file} holds {there:,} weights, and a UNetModel with its levels has {here:,} of them")


def _heads(unet: GuidedUNet, flags: Flags, file: Path) -> dict[str, int]:
    if flags.num_heads is not None:
        return {"attention_heads": flags.num_heads}
    if flags.num_head_channels is not None:
        return {"attention_head_dim": flags.num_head_channels}
    raise UserError(
        f"{file.name} does not say how many heads its attention has: give --set num_heads=N or num_head_channels=N"
    )


def _weights(unet: GuidedUNet, flags: Flags, file: Path) -> Iterator[tuple[str, Tensor]]:
    """By their names in the model's state dict."""
    for there, here in OUTSIDE.items():
        yield from _layer(unet, there, here)
    # The network counts its timesteps from 0 and is given t - 1 on its own scale of the time, 0 to `timesteps`.
    first, scale = unet.weights["time_embed.0.weight"], flags.timesteps / flags.diffusion_steps
    yield "network.time_embedding.linear_1.weight", later(first, 1 - scale) if scale != 1 else first
    for way, resample, levels in (("down", "op", unet.down), ("up", "conv", unet.up)):
        for index, level in enumerate(levels):
            yield from _level(unet, level, f"{way}_blocks.{index}", flags, file)
            if level.resample:
                sampler = f"{way}_blocks.{index}.{way}samplers.0"
                there = level.resample if level.resnet else f"{level.resample}.{resample}"
                yield from _resnet(unet, there, sampler) if level.resnet else _layer(unet, there, f"{sampler}.conv")
    yield from _resnet(unet, "middle_block.0", "mid_block.resnets.0")
    yield from _attention(unet, "middle_block.1", "mid_block.attentions.0", flags, file)
    yield from _resnet(unet, "middle_block.2", "mid_block.resnets.1")


def _level(unet: GuidedUNet, level: Level, here: str, flags: Flags, file: Path) -> Iterator[tuple[str, Tensor]]:
    for index, block in enumerate(level.blocks):
        yield from _resnet(unet, block.prefixes[0], f"{here}.resnets.{index}")
        for prefix in _attentions(block):
            yield from _attention(unet, prefix, f"{here}.attentions.{index}", flags, file)


def _attentions(block: Block) -> list[str]:
    return [prefix for part, prefix in zip(block.parts, block.prefixes, strict=True) if part == "attention"]


def _resnet(unet: GuidedUNet, there: str, here: str) -> Iterator[tuple[str, Tensor]]:
    for theirs, ours in RESNET.items():
        yield from _layer(unet, f"{there}.{theirs}", f"{here}.{ours}")


def _attention(unet: GuidedUNet, there: str, here: str, flags: Flags, file: Path) -> Iterator[tuple[str, Tensor]]:
    yield from _layer(unet, f"{there}.norm", f"{here}.group_norm")
    for kind in ("weight", "bias"):
        qkv, out = (unet.weights.get(f"{there}.{name}.{kind}") for name in ("qkv", "proj_out"))
        if qkv is None or out is None:
            raise UserError(f"{file} has no {there}.qkv.{kind} and {there}.proj_out.{kind}")
        for name, value in zip("qkv", _split(qkv.flatten(1) if kind == "weight" else qkv, flags), strict=True):
            yield f"network.{here}.to_{name}.{kind}", value
        yield f"network.{here}.to_out.0.{kind}", out.flatten(1) if kind == "weight" else out


def _split(qkv: Tensor, flags: Flags) -> tuple[Tensor, ...]:
    """Queries, keys and values of rows (3 C, ...): one after the other in the new order, head by head in the old."""
    if flags.use_new_attention_order:
        return qkv.chunk(3)
    channels = len(qkv) // 3
    heads = flags.num_heads or channels // (flags.num_head_channels or channels)
    if heads == 0 or channels % heads:
        raise UserError(f"an attention of {channels} channels cannot have the heads that were given")
    return tuple(part.flatten(0, 1) for part in qkv.unflatten(0, (heads, 3, -1)).unbind(1))


def _layer(unet: GuidedUNet, there: str, here: str) -> Iterator[tuple[str, Tensor]]:
    """The weight and the bias of a layer, where it is there."""
    for kind in ("weight", "bias"):
        if f"{there}.{kind}" in unet.weights:
            yield f"network.{here}.{kind}", unet.weights[f"{there}.{kind}"]
