"""How models learn."""

from unnoise.objectives.adversarial import Adversarial
from unnoise.objectives.adversarial_diffusion import AdversarialDiffusion
from unnoise.objectives.adversarial_elbo import AdversarialElbo
from unnoise.objectives.classification import Classification
from unnoise.objectives.consistency import Consistency
from unnoise.objectives.continuous_bound import ContinuousBound
from unnoise.objectives.denoising import Denoising
from unnoise.objectives.distribution_matching import DistributionMatching
from unnoise.objectives.easy_consistency import EasyConsistency
from unnoise.objectives.elbo import Elbo
from unnoise.objectives.meanflow import MeanFlow, MeanFlowDistillation
from unnoise.objectives.objective import Loss, Objective, Phase
from unnoise.objectives.progressive import Progressive
from unnoise.objectives.reconstruction import Reconstruction
from unnoise.objectives.reflow import Reflow
from unnoise.objectives.variational import Variational

OBJECTIVES: dict[str, type[Objective]] = {
    "denoising": Denoising,
    "variational": Variational,
    "continuous-bound": ContinuousBound,
    "reconstruction": Reconstruction,
    "elbo": Elbo,
    "adversarial": Adversarial,
    "adversarial-elbo": AdversarialElbo,
    "adversarial-diffusion": AdversarialDiffusion,
    "distribution-matching": DistributionMatching,
    "classification": Classification,
    "consistency": Consistency,
    "easy-consistency": EasyConsistency,
    "progressive": Progressive,
    "reflow": Reflow,
    "meanflow": MeanFlow,
    "meanflow-distillation": MeanFlowDistillation,
}

__all__ = [
    "OBJECTIVES",
    "Adversarial",
    "AdversarialDiffusion",
    "AdversarialElbo",
    "Classification",
    "Consistency",
    "ContinuousBound",
    "Denoising",
    "DistributionMatching",
    "EasyConsistency",
    "Elbo",
    "Loss",
    "MeanFlow",
    "MeanFlowDistillation",
    "Objective",
    "Phase",
    "Progressive",
    "Reconstruction",
    "Reflow",
    "Variational",
]
