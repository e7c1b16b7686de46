"""The UNetModel of improved- and guided-diffusion, read from its state dict: it is a `UNet2D` with other names.

Its residual blocks, attention, resampling, time and class embeddings are those of diffusers' UNet2DModel, so no network
of its own is needed. Two of its options UNet2DModel has not: a number of heads for all widths, and time features of
another width than the first level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import UserError

FIRST = "input_blocks.0.0.weight"
"""The convolution that a state dict is known by."""
ATTENTION_NORMS = 32
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
"""The layers of a residual block, there and here."""
OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
"""The layers that stand alone."""


class Block(NamedTuple):
    """A block of input_blocks or output_blocks: what its parts are, 'resnet', 'attention' or 'resample', and the
    prefix of each."""

    parts: tuple[str, ...]
    prefixes: tuple[str, ...]


class Level(NamedTuple):
    """Blocks of one resolution; resample: the prefix of what leads to the next, '' for none; resnet: whether that is a
    residual block."""

    blocks: list[Block]
    resample: str
    resnet: bool

    @property
    def attended(self) -> bool:
        return any("attention" in block.parts for block in self.blocks)


class GuidedUNet(NamedTuple):
    """A state dict as levels, and what its shapes say."""

    weights: Mapping[str, Tensor]
    down: list[Level]
    up: list[Level]

    @property
    def channels(self) -> int:
        return self.weights[FIRST].shape[1]

    @property
    def outputs(self) -> int:
        return len(self.weights["out.2.weight"])

    @property
    def widths(self) -> list[int]:
        """Channels of each level, from the largest resolution down."""
        return [len(self.weights[f"{level.blocks[-1].prefixes[0]}.out_layers.3.weight"]) for level in self.down]

    @property
    def table(self) -> Tensor | None:
        """The embeddings of the classes."""
        return self.weights.get("label_emb.weight")

    def spec(self) -> Record:
        """The [model.network] section, without heads and timesteps, of which shapes say nothing."""
        widths, features = self.widths, self.weights["time_embed.0.weight"].shape[1]
        scale_shift = len(self.weights["middle_block.0.emb_layers.1.weight"]) == 2 * widths[-1]
        by_resnet = any(level.resnet for level in self.down)
        return {
            "kind": "unet2d",
            "block_out_channels": widths,
            "down_block_types": [_kind(level, "Down") for level in self.down],
            "up_block_types": [_kind(level, "Up") for level in self.up],
            "downsample_type": "resnet" if by_resnet else "conv",
            "upsample_type": "resnet" if by_resnet else "conv",
            "layers_per_block": len(self.down[0].blocks),
            "norm_num_groups": ATTENTION_NORMS,
            "attn_norm_num_groups": ATTENTION_NORMS,
            "resnet_time_scale_shift": "scale_shift" if scale_shift else "default",
            "class_embed_type": "identity",
            "time_features_dim": features,
            "time_embedding_dim": len(self.weights["time_embed.0.weight"]),
        }


def _kind(level: Level, way: str) -> str:
    if level.attended:
        return f"Attn{way}Block2D"
    return f"Resnet{way}sampleBlock2D" if level.resnet else f"{way}Block2D"


def read_guided_unet(weights: Mapping[str, Tensor], where: str) -> GuidedUNet:
    """The network of a state dict.

    Raises:
        UserError: where the names and shapes are not those of a UNetModel with residual blocks, attention and learned
            resampling.
    """
    needed = [*(f"{name}.weight" for name in OUTSIDE), "middle_block.0.in_layers.0.weight"]
    missing = [name for name in needed if name not in weights]
    if missing:
        raise UserError(f"{where} is no UNetModel of improved- or guided-diffusion: it has no {missing[0]}")
    up = [*_up(_blocks(weights, "output_blocks", where))]
    sizes = {len(level.blocks) for level in up}
    down = [*_down(_blocks(weights, "input_blocks", where)[1:], max(sizes) - 1)]
    if len(down) != len(up) or {len(level.blocks) + 1 for level in down} != sizes:
        raise UserError(f"{where}: its levels do not mirror each other, as those of a UNetModel do")
    return GuidedUNet(weights, down, up)


def _blocks(weights: Mapping[str, Tensor], way: str, where: str) -> list[Block]:
    """The blocks of one way, in their order."""
    found: dict[int, set[int]] = {}
    for name in weights:
        if match := re.match(rf"{way}\.(\d+)\.(\d+)\.", name):
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    if sorted(found) != [*range(len(found))]:
        raise UserError(f"{where}: {way} lacks blocks; only UNetModels with learned resampling are read")
    blocks = []
    for index in sorted(found):
        prefixes = tuple(f"{way}.{index}.{part}" for part in sorted(found[index]))
        blocks.append(Block(tuple(_part(weights, prefix) for prefix in prefixes), prefixes))
    return blocks


def _part(weights: Mapping[str, Tensor], prefix: str) -> str:
    if f"{prefix}.qkv.weight" in weights:
        return "attention"
    return "resnet" if f"{prefix}.in_layers.2.weight" in weights else "resample"


def _down(blocks: list[Block], count: int) -> Iterator[Level]:
    """So many blocks of each level, then one that resamples: a convolution, or a residual block like any other."""
    for first in range(0, len(blocks), count + 1):
        level, then = blocks[first : first + count], blocks[first + count : first + count + 1]
        yield Level(level, then[0].prefixes[0] if then else "", bool(then) and then[0].parts[0] == "resnet")


def _up(blocks: list[Block]) -> Iterator[Level]:
    """A level ends in a block with one part more, which resamples, and the last level in no such."""
    level: list[Block] = []
    for block in blocks:
        last = block.parts[-1] if len(block.parts) > 1 else "attention"
        if last == "attention":
            level.append(block)
        else:
            yield Level([*level, Block(block.parts[:-1], block.prefixes[:-1])], block.prefixes[-1], last == "resnet")
            level = []
    yield Level(level, "", False)
