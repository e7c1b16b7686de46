"""What a student's network is told: where a step ends, and the guidance scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unnoise.errors import NotApplicable
from unnoise.guidance import AutoGuidance, ClassifierFree, Clipped, Interval
from unnoise.models.assembly import build_model, model_spec
from unnoise.models.diffusion import Diffusion
from unnoise.models.told import Scalars, Told
from unnoise.process.denoiser import towards
from unnoise.process.schedule import Cosine
from unnoise.samplers import DDIM, FlowMap

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"channels": 8, "multipliers": [1], "blocks": 1},
    "dit": {"dim": 12, "depth": 1},
    "unet2d": {"block_out_channels": [16, 16, 16], "norm_num_groups": 4},
    "linear-attention-unet": {"dim": 8, "multipliers": [1]},
    "dit2d": {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 2},
}
STUDENT = {"flow_map": True, "guidance_range": [1, 4]}
X = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
T, S = (torch.tensor(time, dtype=torch.float64) for time in (0.8, 0.3))
COND = {"label": torch.tensor([0, 1, 1])}


def build(network: str, **options: Any) -> Diffusion:
    torch.manual_seed(0)
    spec = {
        "network": {"kind": network, **NETWORKS[network]},
        "schedule": "cosine",
        "parametrization": "v",
        "conditioner": {"kind": "class", "dim": 16, "dropout": 0.0},
        **options,
    }
    made = build_model(spec, (1, 8, 8), 2)
    assert isinstance(made, Diffusion)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return made.eval()


def student_of(run: Diffusion, network: str) -> Diffusion:
    """With the run's weights, as training carries them over; what is new as it is made."""
    made = build_model({**model_spec(run), **STUDENT}, (1, 8, 8), 2)
    assert isinstance(made, Diffusion)
    missing, unexpected = made.load_state_dict(run.state_dict(), strict=False)
    assert not unexpected
    assert all("embed_scalars" in name for name in missing)
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("network", NETWORKS)
def test_a_student_begins_as_its_teacher_and_every_number_counts_after_a_step(network: str) -> None:
    run = build(network)
    student = student_of(run, network)
    told = [Told(S, 1.0), Told(S, 3.0), Told(None, 1.0)]
    answers = [student(X, T, COND, one).x_0 for one in told]
    assert all(torch.equal(answer, run(X, T, COND).x_0) for answer in answers)
    student.network.embed_scalars.last.weight += 0.1  # type: ignore[union-attr, operator]
    moved = [student(X, T, COND, one).x_0 for one in told]
    assert not any(torch.allclose(moved[0], other, atol=1e-6) for other in moved[1:])


def test_the_numbers_are_the_noise_taken_away_and_the_place_in_the_range() -> None:
    scalars = Scalars(True, (1.0, 5.0))
    found = scalars.of(Told(S, torch.tensor([1.0, 2.0, 5.0])), Cosine(), T, X)
    assert found is not None
    gap = Cosine().noise_share(T) - Cosine().noise_share(S)
    expected = torch.stack([gap.expand(3), torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)], dim=1)
    torch.testing.assert_close(found, expected.float())
    assert Scalars().of(Told(), Cosine(), T, X) is None
    plain = Scalars(True).of(Told(), Cosine(), T, X)
    assert plain is not None
    assert torch.equal(plain, torch.zeros(3, 1))


@torch.no_grad()
def test_guidance_is_told_and_not_asked_for_twice() -> None:
    student = build("unet", guidance_range=[1, 4])
    guided = student.guided(ClassifierFree(2.5))
    calls = 0

    def count(*given: Any) -> None:
        nonlocal calls
        calls += 1

    student.network.register_forward_hook(count)
    found = guided(X, T, COND)
    assert calls == 1
    expected = Clipped(lambda x, t, cond: student(x, t, cond, Told(scale=2.5)))(X, T, COND)  # type: ignore[arg-type]
    torch.testing.assert_close(found.x_0, expected.x_0)
    assert not torch.allclose(student.guided()(X, T, COND).x_0, found.x_0)
    assert torch.equal(student.guided()(X, T, COND).x_0, student.guided(ClassifierFree(1.0))(X, T, COND).x_0)


def test_scales_that_were_not_learned_are_refused() -> None:
    student = build("unet", guidance_range=[1, 4])
    with pytest.raises(ValueError, match=r"has learned guidance scales from 1 to 4, not 4\.5"):
        student.sample(n=1, label=0, guidance=4.5, steps=1)
    with pytest.raises(ValueError, match=r"not 0\.5"):
        student.sample(n=1, label=0, guidance=0.5, steps=1)
    with pytest.raises(ValueError, match="leave the interval out"):
        student.guided(Interval(ClassifierFree(2.0), 0.1, 1.0))


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="need 0 <= low <= 1 < high"):
        build("unet", guidance_range=[2, 4])
    with pytest.raises(ValueError, match="is for a conditional model"):
        build("unet", guidance_range=[1, 4], conditioner=None)
    with pytest.raises(ValueError, match="guidance_range must be"):
        build("unet", guidance_range=[1, 2, 3])


def test_exports_have_no_place_for_what_is_told() -> None:
    Scalars().refuse("a graph")
    for scalars in (Scalars(True), Scalars(guidance_range=(1.0, 2.0))):
        with pytest.raises(NotApplicable, match="a graph has no place for what this student is told"):
            scalars.refuse("a graph")


def test_the_configuration_says_it_of_students_alone() -> None:
    assert "flow_map" not in model_spec(build("unet"))
    spec = model_spec(build("unet", **STUDENT))
    assert (spec["flow_map"], spec["guidance_range"]) == (True, [1, 4])
    assert model_spec(build_model(spec, (1, 8, 8), 2)) == spec


@torch.no_grad()
def test_every_wrapper_passes_on_where_a_step_ends_and_clips_only_where_it_ends_in_an_image() -> None:
    student = build("unet", flow_map=True)
    expected = student(X, T, COND, Told(S))
    assert not torch.equal(expected.x_0, student(X, T, COND).x_0)
    wrappers = (ClassifierFree(1.0), Interval(ClassifierFree(2.0), 5.0, 6.0), AutoGuidance(build("unet"), 1.0))
    for guidance in (None, *wrappers):
        found = towards(student.guided(guidance), S)(X, T, COND)
        torch.testing.assert_close(found.x_0, expected.x_0, msg=repr(guidance))
    end = torch.zeros((), dtype=torch.float64)
    assert float(student(X, T, COND, Told(end)).x_0.abs().max()) > 1
    assert float(towards(student.guided(), end)(X, T, COND).x_0.abs().max()) == 1
    both = towards(student.guided(ClassifierFree(2.0)), S)(X, T, COND).x_0
    torch.testing.assert_close(both, 2 * expected.x_0 - student(X, T, None, Told(S)).x_0)


@torch.no_grad()
def test_of_an_ordinary_model_the_sampler_of_flow_maps_is_ddim() -> None:
    run = build("unet")
    for guidance in (None, ClassifierFree(2.0)):
        samplers = (FlowMap(steps=3), DDIM(steps=3))
        one, other = (sampler.run(run.guided(guidance), X, cond=COND) for sampler in samplers)
        assert torch.equal(one, other)
