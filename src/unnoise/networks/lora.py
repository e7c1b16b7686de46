"""Low-rank adapters: a few trainable numbers beside frozen weights (LoRA, Hu et al. 2021).

An adapter hangs on its layer as a child called `lora` and a forward hook, so that no other parameter changes its
name: a checkpoint from before fits, and one from after holds the adapters beside the weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from unnoise.errors import UserError

CHILD = "lora"
Adaptable = nn.Linear | nn.Conv2d


class Adapter(nn.Module):
    """x -> (alpha / rank) B A x beside a layer's W x; A is drawn at random, B begins at zero.

    For a convolution A is one of the same kernel to `rank` channels and B a 1x1 convolution.
    """

    alpha: Tensor
    hook: RemovableHandle

    def __init__(self, layer: Adaptable, rank: int, alpha: float) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.down, self.up = _pair(layer, rank)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)
        self.to(layer.weight.device, layer.weight.dtype)

    @property
    def rank(self) -> int:
        return self.up.weight.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x)) * (self.alpha / self.rank)

    def weight(self) -> Tensor:
        """What to add to the layer's weight for the same effect, in the weight's shape."""
        product = self.up.weight.flatten(1) @ self.down.weight.flatten(1)
        return (self.alpha / self.rank) * product.unflatten(1, self.down.weight.shape[1:])


def add_lora(module: nn.Module, rank: int = 8, alpha: float | None = None, where: str = "") -> list[str]:
    """Hangs an adapter on every Linear and Conv2d whose name matches the regular expression `where`, and freezes
    everything else; the module answers as before until the adapters have learned.

    alpha: the adapters' scale times rank; by default rank. Gives the layers' names.
    Raises UserError when no layer matches, and for a rank below 1.
    """
    if rank < 1:
        raise UserError(f"lora needs a rank of at least 1; got {rank}")
    chosen = {name: layer for name, layer in layers(module) if re.search(where, name)}
    if not chosen:
        raise UserError(f"no linear or convolution layer matches {where!r}; there are {_some(module)}")
    module.requires_grad_(False)
    for layer in chosen.values():
        _hang(layer, rank, rank if alpha is None else alpha)
    return list(chosen)


def merge_lora(module: nn.Module) -> nn.Module:
    """Adds every adapter to its layer's weight and takes it off: the same function at the cost of the plain module."""
    for _, layer in list(layers(module)):
        adapter = adapter_of(layer)
        if adapter is not None:
            with torch.no_grad():
                layer.weight += adapter.weight()
            _take_off(layer)
    return module


def layers(module: nn.Module) -> Iterator[tuple[str, Adaptable]]:
    """Every layer that can be adapted, with its name; the parts of adapters are none."""
    for name, layer in module.named_modules():
        if f".{CHILD}." in f".{name}":
            continue
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1):
            yield name, layer


def _hang(layer: Adaptable, rank: int, alpha: float) -> Adapter:
    _take_off(layer)
    adapter = Adapter(layer, rank, alpha)
    layer.add_module(CHILD, adapter)
    adapter.hook = layer.register_forward_hook(_add)
    return adapter


def adapter_of(layer: nn.Module) -> Adapter | None:
    """The adapter that hangs on a layer, if there is one."""
    child = layer._modules.get(CHILD)
    return child if isinstance(child, Adapter) else None


def _take_off(layer: Adaptable) -> None:
    adapter = adapter_of(layer)
    if adapter is not None:
        adapter.hook.remove()
        delattr(layer, CHILD)


def _add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + layer.get_submodule(CHILD)(inputs[0])


def _pair(layer: Adaptable, rank: int) -> tuple[Adaptable, Adaptable]:
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=False)
    down = nn.Conv2d(
        layer.in_channels,
        rank,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=False,
        padding_mode=layer.padding_mode,
    )
    return down, nn.Conv2d(rank, layer.out_channels, 1, bias=False)


def _some(module: nn.Module) -> str:
    names = [name for name, _ in layers(module)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
