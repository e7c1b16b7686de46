"""Every method of `unnoise distill` on eight Gaussians in the plane, against the exact distribution.

    python benchmarks/students.py [--steps 3000] [--seeds 2] [--predict x0] [--only reflow,progressive]

A teacher is trained by the objective `denoising`, each student from it by its own. The table has the energy distance
2 E|x - y| - E|x - x'| - E|y - y'| of 2,000 samples in 1, 2 and 4 network calls to 2,000 exact draws, and the flow's
straightness.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from unnoise.data.batch import Batch
from unnoise.models.diffusion import Diffusion
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.embedding import ScalarEmbedding
from unnoise.objectives.assembly import build_objective
from unnoise.objectives.few_calls import START
from unnoise.objectives.objective import Objective
from unnoise.process.analytic import GaussianMixture
from unnoise.process.parametrization import X0, Parametrization, V, X0Skip
from unnoise.process.schedule import Cosine
from unnoise.samplers import DDIM, FlowMap, Renoise, Sampler
from unnoise.samplers.straightness import straightness
from unnoise.seeding import SeededNoise, StepNoise, fold

BATCH, DRAWN, TEACHER_CALLS = 256, 2_000, 50
CALLS = (1, 2, 4)
FROM_START = partial(Renoise, start=START)
STUDENTS: Mapping[str, tuple[dict[str, Any], Callable[..., Sampler], float]] = {
    "adversarial": ({"kind": "adversarial-diffusion", "channels": 16}, FROM_START, 5e-4),
    "distribution-matching": ({"kind": "distribution-matching"}, FROM_START, 5e-4),
    "consistency": ({"kind": "easy-consistency"}, Renoise, 1e-3),
    "consistency-distillation": (
        {
            "kind": "consistency",
            "teacher": True,
            "intervals": 25,
            "most_intervals": 25,
            "gap_power": 0.0,
            "timesteps": {"kind": "log-normal-sigma", "mean": 0.4, "std": 2.9},
        },
        Renoise,
        1e-3,
    ),
    "meanflow": ({"kind": "meanflow-distillation"}, FlowMap, 2e-3),
    "progressive": ({"kind": "progressive", "first": 16, "calls": 1}, DDIM, 1e-3),
    "reflow": ({"kind": "reflow", "pairs": 0, "draw_steps": 8}, DDIM, 1e-3),
}
"""Objective, sampler and learning rate of each."""


class Perceptron(nn.Module):
    """(x (B, 2, 1, 1), noise_level (B,)) -> (B, 2, 1, 1), with three hidden layers that it shows; scalars: how many
    numbers it is told."""

    def __init__(self, width: int = 128, scalars: int = 0) -> None:
        super().__init__()
        self.scalars = scalars
        self.embed_scalars = ScalarEmbedding(scalars, width) if scalars else None
        sizes = [2 + 8, width, width, width]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.last = nn.Linear(width, 2)

    def activations(self, x: Tensor, noise_level: Tensor, told: Conditioning | None = None) -> list[Tensor]:
        angles = noise_level[:, None] * (math.pi / 1000) * torch.tensor([0.5, 1.0, 2.0, 4.0])
        h, found = torch.cat([x.flatten(1), angles.cos(), angles.sin()], dim=1), []
        for number, layer in enumerate(self.hidden):
            h = layer(h)
            if number == 0 and self.embed_scalars is not None and told is not None and told.scalars is not None:
                h = h + self.embed_scalars(told.scalars)
            h = nn.functional.silu(h)
            found.append(h[:, :, None, None])
        return found

    def forward(self, x: Tensor, noise_level: Tensor, told: Conditioning | None = None) -> Tensor:
        return self.last(self.activations(x, noise_level, told)[-1].flatten(1)).reshape(x.shape)


def ring() -> GaussianMixture:
    angles = torch.arange(8) * (math.pi / 4)
    return GaussianMixture(torch.ones(8), torch.stack([angles.cos(), angles.sin()], dim=1), 0.1)


def model(flow_map: bool = False, predicts: Parametrization | None = None) -> Diffusion:
    network = Perceptron(scalars=int(flow_map))
    return Diffusion(network, Cosine(), predicts or V(), shape=(2, 1, 1), clip=False, flow_map=flow_map)


def student_of(teacher: Diffusion, sampler: Callable[..., Sampler]) -> Diffusion:
    """With the teacher's weights; what is new begins at zero. One of x_0 for consistency is tied to its input."""
    tied = sampler is Renoise and isinstance(teacher.parametrization, X0)
    predicts = X0Skip() if tied else teacher.parametrization
    made = model(sampler is FlowMap, predicts)
    made.load_state_dict({**made.state_dict(), **teacher.state_dict()})
    return made


def fit(objective: Objective, steps: int, seed: int, rate: float) -> list[float]:
    """Adam on every phase, the rate falling to zero; the loss of each step. The model ends with averaged weights."""
    phases = objective.phases()
    betas = (0.0, 0.99) if len(phases) > 1 else (0.9, 0.999)
    optimizers = [torch.optim.Adam(phase.parameters, rate, betas) for phase in phases]
    average, losses = [p.detach().clone() for p in objective.model.parameters()], []
    for step in range(steps):
        objective.before_step(step, step / steps)
        batch = Batch(ring().sample(BATCH, fold(seed, step)).float().reshape(-1, 2, 1, 1), {})
        for number, (phase, optimizer) in enumerate(zip(phases, optimizers, strict=True)):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            for again in range(phase.updates):
                optimizer.zero_grad()
                loss = phase.loss(batch, StepNoise(seed, step, number, again)).total
                loss.backward()
                optimizer.step()
            losses += [float(loss.detach())] if number == 0 else []
        objective.after_step(step + 1)
        keep = min(0.998, (1 + step) / (10 + step))
        for mean, parameter in zip(average, objective.model.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - keep)
    with torch.no_grad():
        for mean, parameter in zip(average, objective.model.parameters(), strict=True):
            parameter.copy_(mean)
    return losses


def energy_distance(x: Tensor, y: Tensor) -> float:
    def mean(a: Tensor, b: Tensor, same: bool = False) -> float:
        return float(torch.cdist(a, b).sum()) / (len(a) * (len(b) - same))

    return 2 * mean(x, y) - mean(x, x, True) - mean(y, y, True)


def distance(of: Diffusion, sampler: Sampler) -> float:
    seeds = range(DRAWN)
    x_T = SeededNoise(seeds).normal(torch.empty(DRAWN, 2, 1, 1))
    drawn = sampler.run(of, x_T, seeds)
    return energy_distance(drawn.flatten(1).double(), ring().sample(DRAWN, 123))


def row(name: str, of: Diffusion, sampler: Callable[..., Sampler], seconds: float) -> str:
    options = {"grid": "trailing"} if name == "progressive" else {}
    cells = [f"{distance(of, sampler(steps=calls, **options)):.4f}" for calls in CALLS]
    x_T = SeededNoise(range(500)).normal(torch.empty(500, 2, 1, 1))
    bent = f"{straightness(of, x_T):.4f}" if sampler is DDIM else ""
    return f"| {name} | {' | '.join(cells)} | {bent} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--predict", choices=["v", "x0"], default="v", help="what the teacher's network predicts")
    parser.add_argument("--only", default=",".join(STUDENTS))
    options = parser.parse_args()
    print("| method | 1 | 2 | 4 | straightness | processor seconds |\n|---|---|---|---|---|---|", flush=True)
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        begun = time.process_time()
        teacher = model(predicts=X0() if options.predict == "x0" else V())
        fit(build_objective({"kind": "denoising"}, teacher), options.steps, seed, 2e-3)
        print(row("teacher, DDIM", teacher, DDIM, time.process_time() - begun), flush=True)
        print(f"| teacher, {TEACHER_CALLS} calls | {distance(teacher, DDIM(steps=TEACHER_CALLS)):.4f} |", flush=True)
        for name in options.only.split(","):
            spec, sampler, rate = STUDENTS[name]
            torch.manual_seed(seed)
            student = student_of(teacher, sampler)
            begun = time.process_time()
            losses = fit(build_objective(spec, student), options.steps, seed, rate)
            print(row(name, student, sampler, time.process_time() - begun), flush=True)
            ends = [sum(part) / len(part) for part in (losses[:50], losses[-50:])]
            print(f"<!-- {name}: loss {ends[0]:.4g} at first, {ends[1]:.4g} at last -->", flush=True)


if __name__ == "__main__":
    main()
