"""Progress bars on standard error, and denoisers that move them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from unnoise.process.denoiser import Denoised, Denoiser
from unnoise.process.schedule import Schedule


def progress_bar() -> Progress:
    """A bar where standard error is a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)


@dataclass(frozen=True)
class Watched:
    """A Denoiser that tells how many images it has been asked about, call by call."""

    denoiser: Denoiser
    asked: Callable[[int], object]

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Denoised:
        self.asked(len(x_t))
        return self.denoiser(x_t, t, cond)
