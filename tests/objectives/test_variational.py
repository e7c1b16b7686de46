from __future__ import annotations

import math

import pytest
import torch

from unnoise.data.batch import Batch
from unnoise.metrics.likelihood import variational_bound
from unnoise.models.assembly import build_model
from unnoise.models.diffusion import Diffusion
from unnoise.objectives import Denoising, Variational
from unnoise.objectives.assembly import build_objective, objective_spec
from unnoise.objectives.importance import LossHistory
from unnoise.process.variance import Learned
from unnoise.seeding import StepNoise

NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}


def make(steps: int = 30, **options: object) -> Diffusion:
    torch.manual_seed(0)
    schedule = {"kind": "linear-betas", "T": steps, "beta_start": 0.1 / steps, "beta_end": 20 / steps}
    model = build_model({"network": NETWORK, "schedule": schedule, **options}, (1, 4, 4), 0)
    assert isinstance(model, Diffusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return model.eval()


def images(count: int) -> Batch:
    draws = torch.Generator().manual_seed(1)
    return Batch(torch.randint(0, 256, (count, 1, 4, 4), generator=draws) / 127.5 - 1, {})


def test_its_bound_is_the_evaluated_bound() -> None:
    """T times the mean of L_{t-1} over random t is what `variational_bound` sums, without the prior term."""
    model = make(learned_variance=True)
    batch = images(256)
    expected = variational_bound(model, batch.image, variance=Learned(), draws=2)
    objective = Variational(model)
    parts = torch.stack([objective.loss(batch, StepNoise(k)).parts["bound"].double() for k in range(60)])
    error = float(parts.std()) / math.sqrt(60)
    assert abs(float(parts.mean()) - expected.denoising - expected.decoder) < 4 * math.hypot(error, expected.stderr)


def test_its_simple_part_is_denoisings_loss() -> None:
    model = make(learned_variance=True)
    simple = Variational(model).loss(images(16), StepNoise(4)).parts["simple"]
    torch.testing.assert_close(simple, Denoising(model).loss(images(16), StepNoise(4)).total.detach())


def test_the_hybrids_bound_trains_the_variance_alone() -> None:
    model = make(learned_variance=True)
    Variational(model, simple=0.0, bound=1.0, detach_mean=True).loss(images(64), StepNoise(1)).total.backward()
    gradient = model.network.last.weight.grad
    assert isinstance(gradient, torch.Tensor)
    mean, variance = gradient.chunk(2)
    assert not mean.any()
    assert variance.abs().max() > 0


def test_impossible_combinations_are_refused_and_the_spec_round_trips() -> None:
    with pytest.raises(ValueError, match="native steps"):
        Variational(build_model({"network": NETWORK, "schedule": "vp", "learned_variance": True}, (1, 4, 4), 0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="learned_variance"):
        Variational(make())
    objective = Variational(make(), simple=0.0, bound=1.0, detach_mean=False)
    spec = objective_spec(objective)
    assert spec == {"kind": "variational", "simple": 0.0, "bound": 1.0, "detach_mean": False, "times": "uniform"}
    assert objective_spec(build_objective(spec, objective.model)) == spec


def test_importance_sampling_keeps_the_expectation_of_the_bound() -> None:
    model, batch = make(learned_variance=True), images(256)
    uniform, weighted = Variational(model), Variational(model, times="importance")
    (history,) = weighted.modules().values()
    assert isinstance(history, LossHistory)
    for _ in range(history.kept):
        for start in range(1, 31, 10):
            t = torch.arange(start, start + 10).double()
            history.record(t, 1 / t)

    def drawn(objective: Variational) -> torch.Tensor:
        return torch.stack([objective.loss(batch, StepNoise(k)).parts["bound"].double() for k in range(60)])

    flat, sampled = drawn(uniform), drawn(weighted)
    assert abs(float(flat.mean() - sampled.mean())) < 4 * math.hypot(float(flat.std()), float(sampled.std())) / 60**0.5


def test_only_real_steps_enter_the_history_and_a_checkpoint_holds_it() -> None:
    objective = Variational(make(learned_variance=True), times="importance")
    (history,) = objective.modules().values()
    objective.loss(images(8), StepNoise(0))  # a trial step
    objective.before_step(0)
    objective.loss(images(16), StepNoise(1))
    objective.after_step(1)
    assert int(history.seen.sum()) == 0, "its losses come while the next step is computed"  # type: ignore[operator, union-attr]
    objective.before_step(1)
    objective.loss(images(4), StepNoise(2))
    objective.after_step(2)
    assert int(history.seen.sum()) == 16  # type: ignore[operator, union-attr]
    with pytest.raises(ValueError, match="importance"):
        Variational(objective.model, times="importence")
