"""How models learn."""

from unnoise.objectives.denoising import Denoising
from unnoise.objectives.objective import Loss, Objective, Phase
from unnoise.objectives.variational import Variational

OBJECTIVES: dict[str, type[Objective]] = {"denoising": Denoising, "variational": Variational}

__all__ = ["OBJECTIVES", "Denoising", "Loss", "Objective", "Phase", "Variational"]
