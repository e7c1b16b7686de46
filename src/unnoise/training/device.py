"""Which device trains, in what precision and memory layout, and whether compiling pays."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import nn

from unnoise.registry import suggest
from unnoise.training.settings import PRECISIONS, TrainSettings
from unnoise.training.tuning import cpu_has_native_bf16, keep_pages

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
        """Moves the model to the device and layout, and compiles its network in place where chosen."""
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


def best_device() -> str:
    """'cuda' where there is one, else 'mps', else 'cpu'."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_engine(settings: TrainSettings, device: str | None = None) -> Engine:
    """The engine for a device (default: the best there is), with every 'auto' of the settings decided.

    Raises ValueError where bf16 is demanded of hardware that only emulates it.
    """
    device = device or best_device()
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


def takes_bf16(device: str | torch.device, precision: str = "auto") -> bool:
    """Whether a network runs under bf16 autocast. precision: 'auto' (where the hardware has it), 'fp32' or 'bf16'.

    Raises ValueError for another word, and where bf16 is demanded of hardware that only emulates it.
    """
    kind = torch.device(device).type
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; {suggest(precision, PRECISIONS)}")
    native = {"cuda": _cuda_has_bf16, "cpu": cpu_has_native_bf16}.get(kind, lambda: False)()
    if precision == "bf16" and not native:
        raise ValueError(f"precision=bf16: this {kind} computes bf16 in software, far slower than fp32; use fp32")
    return precision == "bf16" or (precision == "auto" and native)


def autocast(device: str | torch.device, bf16: bool) -> AbstractContextManager[None]:
    """bf16 autocast on the device, or nothing."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16) if bf16 else nullcontext()  # type: ignore[return-value]


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


def _cuda_has_bf16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)
