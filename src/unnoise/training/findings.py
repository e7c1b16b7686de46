"""What the guard of a training has found so far: part of its checkpoints, so that a resumed run knows it too."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from unnoise.aliases import Record


@dataclass(frozen=True)
class Findings:
    """looks: at samples. rises: validations in a row at which the held-out loss was clearly above its least. least,
    least_step: that loss of each held-out image, and its step. why: what shows that the training copies, if it does."""

    looks: int = 0
    rises: int = 0
    least: tuple[float, ...] = ()
    least_step: int = 0
    why: str = ""

    def record(self) -> Record:
        return asdict(self)
