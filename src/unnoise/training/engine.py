"""How the steps of a training are computed: device, precision, memory layout, compiling."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import nn

from unnoise.runtime.cpu import keep_pages
from unnoise.runtime.device import chosen_device
from unnoise.runtime.precision import autocast, takes_bf16
from unnoise.training.settings import TrainSettings

COMPILE_PAYS_FROM = 2000
"""Steps on a GPU: compiling takes about a minute there."""


@dataclass(frozen=True)
class Engine:
    """How the steps of a run are computed. device: 'cpu', 'cuda', 'mps'; notes: what was chosen and why."""

    device: str
    bf16: bool
    channels_last: bool
    compile: bool
    notes: tuple[str, ...] = ()

    def autocast(self) -> AbstractContextManager[None]:
        """bf16 where it was chosen, else nothing."""
        return autocast(self.device, self.bf16)

    def prepare(self, model: nn.Module) -> None:
        """Moves the model to the device and the memory layout, and compiles its network where that was chosen."""
        model.to(self.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile:
            _network(model).compile()

    def without_compile(self, model: nn.Module, reason: str) -> Engine:
        """The engine to go on with when compiling has failed: the network runs eagerly again."""
        _network(model)._compiled_call_impl = None
        note = f"torch.compile failed, going on without it: {reason.strip().splitlines()[0][:200]}"
        return replace(self, compile=False, notes=(*self.notes, note))


def choose_engine(settings: TrainSettings, device: str | None = None) -> Engine:
    """The engine for a device (default: the best there is), with every 'auto' of the settings decided.

    Raises UserError for a device that is not here, and where bf16 is demanded of hardware that only emulates it.
    """
    device = chosen_device(device)
    kind = torch.device(device).type
    compiled = _decide(settings.compile, kind == "cuda" and settings.steps >= COMPILE_PAYS_FROM)
    notes = [f"torch.compile is {'on' if compiled else 'off'}: {_why(settings, kind)}"]
    if kind == "cpu" and keep_pages():
        notes.append("the C allocator keeps freed pages: fewer page faults")
    return Engine(
        device,
        bf16=takes_bf16(device, settings.precision),
        channels_last=_decide(settings.channels_last, kind == "cuda"),
        compile=compiled,
        notes=tuple(notes),
    )


def _why(settings: TrainSettings, kind: str) -> str:
    if settings.compile != "auto":
        return "as train.compile asks"
    if kind == "cuda":
        return f"it pays from about {COMPILE_PAYS_FROM} steps on a GPU"
    return f"on {kind} compiling takes longer than it saves in most runs; train.compile=on forces it"


def _network(model: nn.Module) -> nn.Module:
    return getattr(model, "network", model)


def _decide(choice: str, automatic: bool) -> bool:
    return automatic if choice == "auto" else choice == "on"
