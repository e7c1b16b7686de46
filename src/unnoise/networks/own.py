"""Networks that a user brings: a class, known by its name while the program runs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import nn

from unnoise.errors import UserError
from unnoise.networks import NETWORKS
from unnoise.registry import suggest

BUILT_IN = tuple(NETWORKS)
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def register(network: Any) -> str:
    """Adds a class of networks to NETWORKS, and answers the name it has there: its own.

    Its constructor takes keywords: of what the model knows (`in_channels`, `out_channels`, `image_size` ...) those that
    it wants, and its own, which become keys of [model.network] and are stored under their names. It is called with
    (x (B, C, H, W), noise_level (B,)), and with a Conditioning as the third argument where the model has conditions;
    the answer has x's shape.

    Raises:
        UserError: for what is no such class, and for the name of a built-in network.
    """
    if isinstance(network, nn.Module):
        name = type(network).__name__
        raise UserError(
            f"network takes the class {name}, not an object of it, so that a run can be built again; its arguments are "
            "keys of the configuration: overrides={'model.network.width': 64}"
        )
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise UserError(f"network takes a class of torch.nn.Module, got {network!r}")
    if network.__name__ in BUILT_IN:
        raise UserError(f"{network.__name__!r} is the name of a built-in network; call yours something else")
    _check_call(network)
    NETWORKS[network.__name__] = network
    return network.__name__


def check_known(kind: Any) -> None:
    """Raises UserError for a network whose class is not at hand, with what to do."""
    if isinstance(kind, str) and kind not in NETWORKS:
        raise UserError(
            f"unknown network {kind!r}; {suggest(kind, NETWORKS)}; or give the class of your own, "
            f"unnoise.load(folder, network={kind}), or install it as a plug-in (docs/interop.md)"
        )


def _check_call(network: type[nn.Module]) -> None:
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    if not _takes(parameters, 2):
        raise UserError(f"{network.__name__}.forward must take (x, noise_level), it takes {_names(parameters)}")


def _takes(parameters: Sequence[inspect.Parameter], count: int) -> bool:
    """Whether a function takes so many positional arguments."""
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = [parameter for parameter in parameters if parameter.kind in POSITIONAL]
    needed = sum(parameter.default is parameter.empty for parameter in positional)
    return needed <= count <= len(positional)


def _names(parameters: Sequence[inspect.Parameter]) -> str:
    return f"({', '.join(parameter.name for parameter in parameters)})"
