"""What an export may be told beside the format."""

from __future__ import annotations

from dataclasses import dataclass

from unnoise.errors import UserError
from unnoise.sampling.guidance_options import GuidanceOptions

NO_GUIDANCE = GuidanceOptions()


@dataclass(frozen=True)
class ExportOptions:
    """sampler: text as in `ddim@20`, the run's own where it is None; guidance: what is part of the sampler's graph."""

    sampler: str | None = None
    guidance: GuidanceOptions = NO_GUIDANCE

    def only_default(self, why: str) -> None:
        """Raises UserError where something was asked for that has no effect. why: the reason, for the message."""
        if self != ExportOptions():
            raise UserError(f"--sampler and guidance are part of no such export: {why}")
