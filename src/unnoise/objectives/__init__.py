"""How models learn."""

from unnoise.objectives.denoising import Denoising
from unnoise.objectives.objective import Loss, Objective, Phase

OBJECTIVES: dict[str, type[Objective]] = {"denoising": Denoising}

__all__ = ["OBJECTIVES", "Denoising", "Loss", "Objective", "Phase"]
