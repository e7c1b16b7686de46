"""What a student's network is told in numbers beside the noise level: where its step ends, how strong guidance is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import NotApplicable, UserError
from unnoise.guidance import ClassifierFree, Interval
from unnoise.host import sent
from unnoise.models.image_model import Guidance
from unnoise.process.schedule_base import Schedule


@dataclass(frozen=True)
class Told:
    """What a call tells the network.

    Args:
        towards: the time s () or (B,) at which the step from t ends; None: t itself.
        scale: of classifier-free guidance, for all rows or for each (B,); 1 is none.
    """

    towards: Tensor | None = None
    scale: float | Tensor = 1.0


UNTOLD = Told()


@dataclass(frozen=True)
class Scalars:
    """The numbers in [0, 1] of `Conditioning.scalars`.

    Args:
        flow_map: whether u_t - u_s is among them, u = sigma / (alpha + sigma): how much noise the step takes away.
        guidance_range: the least and the greatest scale of classifier-free guidance that the network learns; None where
            it learns none.

    Raises:
        UserError: for a range that is not 0 <= low <= 1 < high: without guidance the scale is 1.
    """

    flow_map: bool = False
    guidance_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.guidance_range is not None and not 0 <= self.guidance_range[0] <= 1 < self.guidance_range[1]:
            raise UserError(f"need 0 <= low <= 1 < high for model.guidance_range, got {list(self.guidance_range)}")

    @property
    def count(self) -> int:
        return int(self.flow_map) + int(self.guidance_range is not None)

    def refuse(self, purpose: str) -> None:
        """Raises NotApplicable for `purpose` where the network is told anything."""
        if self.count:
            raise NotApplicable(
                f"{purpose} has no place for what this student is told: where a step ends, how strong guidance is; "
                "use the run that it was made from"
            )

    def of(self, told: Told, schedule: Schedule, t: Tensor, like: Tensor) -> Tensor | None:
        """(B, count) for the rows of `like` (B, *), whose time is t () or (B,); None where nothing is told."""
        found: list[Tensor] = []
        if self.flow_map:
            s = t if told.towards is None else told.towards
            found.append(schedule.noise_share(t) - schedule.noise_share(s))
        if self.guidance_range is not None:
            low, high = self.guidance_range
            found.append((torch.as_tensor(told.scale) - low) / (high - low))
        if not found:
            return None
        return torch.stack([sent(one, like.device, like.dtype).expand(len(like)) for one in found], dim=1)

    def heard(self, guidance: Guidance | None) -> tuple[Told, Guidance | None]:
        """What of a guidance the network is told, and what is left to be done around it.

        Raises:
            UserError: for a scale outside of the range, and for an interval, within which a network that is told the
                scale cannot stop.
        """
        if self.guidance_range is None:
            return UNTOLD, guidance
        if isinstance(guidance, Interval):
            raise UserError("this student is told the guidance scale for all of its calls: leave the interval out")
        if not isinstance(guidance, ClassifierFree):
            return UNTOLD, guidance
        low, high = self.guidance_range
        if not low <= float(guidance.scale) <= high:
            raise UserError(
                f"this student has learned guidance scales from {low:g} to {high:g}, not {float(guidance.scale):g}; "
                "the run that it was made from takes any"
            )
        return Told(scale=guidance.scale), None
