"""The dial: from images, a machine and minutes to a network and its training.

It fills in what a configuration with a [dial] section leaves open, and says why.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import torch

from unnoise.aliases import Spec
from unnoise.errors import UserError
from unnoise.networks.flops import count_flops
from unnoise.networks.unet import UNet
from unnoise.progress import duration, notice
from unnoise.registry import check_keys, lookup
from unnoise.runs.config import Config, override
from unnoise.runs.plan import NO_LIMIT
from unnoise.runtime.world import join
from unnoise.training.engine import OFF, Engine, choose_engine
from unnoise.training.optim import make_optimizer
from unnoise.training.settings import TrainSettings, section

QUALITIES = {"draft": 10.0, "good": 60.0, "best": 480.0}
"""Minutes."""
FINEST = 16
"""Positions a side of the finest level of a network on patches, about."""
SEEN = 60_000
"""Images that a training should see for a network to be worth its cost (docs/lab.md, the dial)."""
SHAPES, CLEAR, CLEAR_DRAWN = 10_000, 500_000, 60_000
"""Images seen from which samples have shapes, and most of them clear ones (docs/lab.md: CIFAR-10; emoji and digits)."""
FINE = 2
"""Pixels a side of patches within which detail is learned with the shapes."""
GAMMA_GREY, GAMMA_COLOUR, GAMMA_DRAWN = 1.0, 1.25, 1.5
"""How much less the weight `p2` counts the least noise; pictures in colour want more of that, drawn ones most."""
DRAWN_NOTE = (
    "the pictures are drawn, in areas of one colour, so the loss counts the least noise little (objective.weight)"
)
PROBE_SECONDS = 0.5
NETWORK = ("channels", "multipliers", "blocks", "patch", "attention")
"""Keys of the network that are chosen together, or not at all."""


@dataclass(frozen=True)
class Rung:
    """A U-Net. finer: on patches of half the side; channels, multipliers, blocks: as in `UNet`."""

    finer: bool
    channels: int
    multipliers: tuple[int, ...]
    blocks: int

    def network(self, side: int) -> dict[str, Any]:
        """The [model.network] keys for images of `side` pixels."""
        patch = 2 ** max(0, math.ceil(math.log2(side / FINEST)))
        return {
            "patch": max(1, patch // 2) if self.finer else patch,
            "channels": self.channels,
            "multipliers": list(self.multipliers),
            "blocks": self.blocks,
            "attention": [FINEST // 2],
        }


LADDER = (
    Rung(False, 32, (1, 2, 4), 1),
    Rung(False, 48, (1, 2, 4), 1),
    Rung(False, 64, (1, 2, 4), 2),
    Rung(True, 48, (1, 2, 2), 1),
    Rung(True, 64, (1, 2, 2), 2),
    Rung(True, 96, (1, 2, 2), 2),
    Rung(True, 128, (1, 2, 2, 2), 2),
)
"""From the cheapest to the dearest."""


class Speed(NamedTuple):
    """A rung and the images a second of its training."""

    rung: Rung
    rate: float


class Dialled(NamedTuple):
    """config: with everything decided; notes: what was chosen, why, and what to expect; seen: how many images the
    training is expected to show, where the dial measured it."""

    config: Config
    notes: tuple[str, ...] = ()
    seen: float | None = None


def dialled(
    config: Config, shape: tuple[int, int, int], device: str | None, stored: Config | None, *, drawn: bool = False
) -> Dialled:
    """A configuration with what its [dial] leaves open filled in; one without a [dial] as it is.

    Args:
        config: the recipe with the user's overrides, which stay.
        shape: (C, H, W) of the images.
        device: where the training computes; None: the best there is.
        stored: the configuration of the run that goes on, whose choices stay.
        drawn: whether the images are drawn, not photographed (`data.flat`).

    Raises:
        UserError: for another quality than those of QUALITIES.
    """
    if "dial" not in config:
        return Dialled(config)
    rest = {name: part for name, part in config.items() if name != "dial"}
    check_keys(config["dial"], ("quality",), "[dial]")
    kinds = rest["model"].get("kind", "diffusion"), rest["model"].get("network", {}).get("kind", "unet")
    if kinds != ("diffusion", "unet"):
        raise UserError(
            f"the dial chooses U-Nets for diffusion models, not {' and '.join(kinds)}; leave --quality away"
        )
    usual = lookup(QUALITIES, config["dial"].get("quality", "good"), "dial.quality")
    if stored is not None:
        return Dialled(_filled(rest, stored["model"]["network"], stored["objective"].get("weight"), stored["train"]))
    train = dict(rest.get("train", {}))
    if "minutes" not in train and train.get("steps", NO_LIMIT) == NO_LIMIT:
        train["minutes"] = usual
    minutes = train.get("minutes") or usual
    engine = choose_engine(section(TrainSettings, train, "train"), device)
    speed = choose_rung(engine, shape, 60 * minutes)
    seen = speed.rate * 60 * minutes
    weight = {"kind": "p2", "gamma": _gamma(shape[0], drawn)}
    made = _filled(
        rest,
        speed.rung.network(max(shape[1:])),
        weight,
        {"minutes": train.get("minutes", 0.0), **_training(engine, seen)},
    )
    said = (DRAWN_NOTE,) if weight["gamma"] == GAMMA_DRAWN and made["objective"]["weight"] == weight else ()
    clear = CLEAR_DRAWN if drawn else CLEAR
    return Dialled(made, (*_notes(made, shape, speed, minutes, clear), *said), seen)


def _gamma(channels: int, drawn: bool) -> float:
    if channels == 1:
        return GAMMA_GREY
    return GAMMA_DRAWN if drawn else GAMMA_COLOUR


def _filled(config: Config, network: Spec, weight: Spec | None, train: Spec) -> Config:
    """The configuration, whose own values stay, with those of a network, a weight of the loss and a training."""
    given = config.get("model", {}).get("network", {})
    taken = {} if any(name in given for name in NETWORK) else {name: network[name] for name in NETWORK}
    keys = {f"model.network.{name}": value for name, value in taken.items()}
    own = config.get("objective", {}).get("weight", {})
    if weight is not None and isinstance(own, Mapping) and "kind" not in own:
        keys["objective.weight"] = {**weight, **own}
    for name in ("minutes", "batch_size", "optimizer", "learning_rate", "decay", "ema"):
        if name not in config.get("train", {}):
            keys[f"train.{name}"] = train[name]
    return override(config, keys)


def choose_rung(engine: Engine, shape: tuple[int, int, int], seconds: float) -> Speed:
    """The dearest rung that is measured to show SEEN images in so many seconds; else the cheapest.

    Only rungs that may do so are measured: at the FLOP/s of the cheapest, which larger networks reach or exceed.
    """
    notice("measuring how fast networks train here")
    costs = {rung: forward_flops(shape, rung) for rung in LADDER}
    cheapest = min(LADDER, key=lambda rung: costs[rung])
    least = Speed(cheapest, images_per_second(engine, shape, cheapest))
    most = costs[cheapest] * least.rate * seconds / SEEN
    for rung in sorted(LADDER, key=lambda rung: -costs[rung]):
        if rung != cheapest and costs[rung] <= most:
            found = Speed(rung, images_per_second(engine, shape, rung))
            if found.rate * seconds >= SEEN:
                return found
    return least


@cache
def forward_flops(shape: tuple[int, int, int], rung: Rung) -> float:
    """Of one image of `shape` (C, H, W), by a network without numbers."""
    channels, *size = shape
    with torch.device("meta"):
        network = UNet(channels, channels, (size[0], size[1]), time_injection="adagn", **rung.network(max(size)))
        x, level = torch.empty(1, *shape), torch.empty(1)
        return float(count_flops(lambda: network(x, level)))


def images_per_second(engine: Engine, shape: tuple[int, int, int], rung: Rung) -> float:
    """Of training steps of a rung's network with its optimizer, measured, by all processes together."""
    channels, height, width = shape
    network = UNet(channels, channels, (height, width), time_injection="adagn", **rung.network(max(height, width)))
    settings = TrainSettings(**_training(engine, SEEN))
    x = torch.randn(settings.batch_size, *shape, device=engine.device)
    replace(engine, compile=OFF).prepare(network)
    optimizer = make_optimizer(network.parameters(), settings)

    def step() -> float:
        with engine.autocast():
            loss = network(x, x.new_zeros(len(x))).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        float(next(network.parameters()).detach().sum())  # waits for the device
        return time.perf_counter()

    begun = ended = step()  # it chose kernels
    steps = 0
    while ended < begun + PROBE_SECONDS:
        ended, steps = step(), steps + 1
    return join().size * steps * len(x) / (ended - begun)


def _training(engine: Engine, seen: float) -> dict[str, Any]:
    """Batch, learning rate and averaging for so many images (docs/lab.md, the dial)."""
    batch = 32 if engine.device == "cpu" else 256
    steps = max(1.0, seen / batch)
    return {
        "batch_size": batch,
        "optimizer": "muon",
        "learning_rate": 1e-3,
        "decay": 0.5,
        "ema": round(min(0.9999, max(0.99, 1 - 20 / steps)), 5),
    }


def _notes(config: Config, shape: tuple[int, int, int], speed: Speed, minutes: float, clear: int) -> tuple[str, ...]:
    """What was chosen and why, and what to expect. clear: images seen from which shapes are clear."""
    network, train = config["model"]["network"], config["train"]
    _, height, width = shape
    seen = speed.rate * 60 * minutes
    chosen = (
        f"chosen for {minutes:g} minutes at {speed.rate:,.3g} images a second: {network.get('channels')} channels on "
        f"patches of {network.get('patch', 1)}, batches of {train['batch_size']}, so about {seen:,.0f} images are seen"
    )
    expected = f"expect at {width}x{height} {_expectation(seen, clear)}"
    if seen < clear:
        expected += f"; clear shapes need about {_about(clear / speed.rate)} here"
    patch = network.get("patch", 1)
    if patch > FINE:
        half = max(height, width) // 2
        expected += f"; fine detail comes last on patches of {patch}: --size {half} halves them"
    return chosen, expected


def _about(seconds: float) -> str:
    """A duration by two digits: more would promise too much."""
    return duration(float(f"{seconds:.2g}"))


def _expectation(seen: float, clear: int) -> str:
    if seen < SHAPES:
        return "blobs: colours and no shapes"
    return "shapes that are not always clear" if seen < clear else "clear shapes"
