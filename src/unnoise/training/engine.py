"""How the steps of a training are computed: device, precision, memory layout, compiling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.compiler import set_stance

from unnoise.networks.regions import compile_regions, compile_whole, run_eagerly
from unnoise.runtime.cpu import keep_pages
from unnoise.runtime.device import chosen_device
from unnoise.runtime.precision import chosen_precision, computing_in, products_in
from unnoise.training.settings import TrainSettings

COMPILE_PAYS_FROM, COMPILE_MINUTES = 5000, 10.0
"""Steps and minutes on a GPU, for each shape of images. Measured on an H200 (docs/gpu.md): compiling the blocks of a
U-Net of 103 M parameters took 88 s, and a step then 59 ms instead of 83."""
OFF, REGIONS, WHOLE = "off", "regions", "whole"


@dataclass(frozen=True)
class Engine:
    """How the steps of a run are computed.

    device: 'cpu', 'cuda', 'mps'; precision: as `chosen_precision` gives it; compile: 'off', 'regions' or 'whole', what
    of the network is compiled; notes: what was chosen and why; shapes: of the images, each of which is compiled for.
    """

    device: str
    precision: str
    channels_last: bool
    compile: str
    notes: tuple[str, ...] = ()
    shapes: int = 1

    def autocast(self) -> AbstractContextManager[None]:
        """The precision of a forward pass."""
        return computing_in(self.device, self.precision)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """The same for a forward pass that is no step's: with nothing compiled, because every number of images, and
        every pass without gradients, would be compiled by itself."""
        with self.autocast(), nullcontext() if self.compile == OFF else set_stance("force_eager"):
            yield

    def products(self) -> AbstractContextManager[None]:
        """The precision of matrix products outside of it, in a backward pass."""
        return products_in(self.device, self.precision)

    def scaler(self) -> torch.amp.GradScaler:
        """Multiplies losses so that gradients do not vanish in fp16; does nothing in other precisions."""
        kind = torch.device(self.device).type
        return torch.amp.GradScaler(kind, enabled=self.precision == "fp16")  # type: ignore[attr-defined]

    def prepare(self, model: nn.Module) -> None:
        """Moves the model to the device and the memory layout, and compiles its network where that was chosen."""
        model.to(self.device)
        if self.device.startswith("cuda"):
            torch.backends.cudnn.benchmark = True  # every step has the same shapes: the search for kernels pays
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile == WHOLE:
            compile_whole(_network(model), self.shapes)
        elif self.compile == REGIONS:
            compile_regions(_network(model), self.shapes)

    def without_compile(self, model: nn.Module, reason: str) -> Engine:
        """The engine to go on with when compiling has failed: the network runs eagerly again."""
        run_eagerly(_network(model))
        note = f"torch.compile failed, going on without it: {' '.join(reason.split())[:200]}"
        return replace(self, compile=OFF, notes=(*self.notes, note))


def choose_engine(settings: TrainSettings, device: str | None = None, shapes: int = 1) -> Engine:
    """The engine for a device (default: the best there is), with every 'auto' of the settings decided, for images of so
    many shapes.

    Raises UserError for a device that is not here, and where a precision is demanded that the hardware only emulates.
    """
    device = chosen_device(device)
    kind = torch.device(device).type
    compiled = _compiled(settings, kind, shapes)
    notes = [f"torch.compile is {compiled.replace(REGIONS, 'on, block by block')}: {_why(settings, kind, shapes)}"]
    if compiled != OFF and shapes > 1:
        notes.append(f"everything is compiled {shapes} times, for each shape of the images, before the first step")
    if kind == "cpu" and keep_pages():
        notes.append("the C allocator keeps freed pages: fewer page faults")
    return Engine(
        device,
        precision=chosen_precision(device, settings.precision),
        channels_last=settings.channels_last == "on" or (settings.channels_last == "auto" and kind == "cuda"),
        compile=compiled,
        notes=tuple(notes),
        shapes=shapes,
    )


def _compiled(settings: TrainSettings, kind: str, shapes: int) -> str:
    if settings.compile == "auto":
        long = settings.steps >= COMPILE_PAYS_FROM * shapes and not 0 < settings.minutes < COMPILE_MINUTES * shapes
        return REGIONS if kind == "cuda" and long else OFF
    return REGIONS if settings.compile == "on" else settings.compile


def _why(settings: TrainSettings, kind: str, shapes: int) -> str:
    if settings.compile != "auto":
        return "as train.compile asks"
    if kind == "cuda":
        of_shapes = f", for {shapes} shapes of images" if shapes > 1 else ""
        steps, minutes = COMPILE_PAYS_FROM * shapes, COMPILE_MINUTES * shapes
        return f"it pays from about {steps} steps and {minutes:g} minutes on a GPU{of_shapes}"
    return f"on {kind} compiling takes longer than it saves in most runs; train.compile=on forces it"


def _network(model: nn.Module) -> nn.Module:
    return getattr(model, "network", model)
