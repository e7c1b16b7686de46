"""Every noise schedule by name. What a schedule is: `process.schedule_base`."""

from unnoise.process.betas import Betas, CosineBetas, GeometricBetas, GivenBetas, LinearBetas, ScaledLinearBetas
from unnoise.process.continuous import VE, VP, Cosine, RectifiedFlow
from unnoise.process.learned_schedule import LearnedSchedule
from unnoise.process.schedule_base import Schedule, Time, VariancePreserving
from unnoise.registry import Table

Straight = RectifiedFlow
"""The name of earlier versions."""

SCHEDULES: Table[type[Schedule]] = Table(
    "unnoise.schedules",
    {
        "linear-betas": LinearBetas,
        "cosine-betas": CosineBetas,
        "geometric-betas": GeometricBetas,
        "scaled-linear-betas": ScaledLinearBetas,
        "given-betas": GivenBetas,
        "cosine": Cosine,
        "vp": VP,
        "ve": VE,
        "rectified-flow": RectifiedFlow,
        "straight": RectifiedFlow,
        "learned": LearnedSchedule,
    },
)

__all__ = [
    "SCHEDULES",
    "VE",
    "VP",
    "Betas",
    "Cosine",
    "CosineBetas",
    "GeometricBetas",
    "GivenBetas",
    "LearnedSchedule",
    "LinearBetas",
    "RectifiedFlow",
    "ScaledLinearBetas",
    "Schedule",
    "Straight",
    "Time",
    "VariancePreserving",
]
