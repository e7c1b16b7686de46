"""The contract of the diffusion model: what it claims, and that any sentence of the nouns is a model."""

from __future__ import annotations

import pytest
import torch

from unnoise.guidance import ClassifierFree, Clipped
from unnoise.models import CanSample
from unnoise.models.assembly import build_model, model_spec
from unnoise.models.diffusion import Diffusion
from unnoise.process.gaussian import perturb
from unnoise.samplers import DDIM, Ancestral

NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
SENTENCES = {
    "DDPM": {"schedule": {"kind": "linear-betas", "T": 20}, "parametrization": "eps"},
    "cosine v": {"schedule": {"kind": "cosine-betas", "T": 20}, "parametrization": "v"},
    "posterior mean": {"schedule": {"kind": "linear-betas", "T": 20}, "parametrization": "mean"},
    "score": {"schedule": "vp", "parametrization": "eps"},
    "EDM": {"schedule": "ve", "parametrization": "edm", "network": {**NETWORK, "time_features": "fourier"}},
    "rectified flow": {"schedule": "straight", "parametrization": "velocity"},
    "class-conditional": {"schedule": "cosine", "parametrization": "x0", "conditioner": {"kind": "class", "dim": 8}},
}
every_sentence = pytest.mark.parametrize("spec", SENTENCES.values(), ids=SENTENCES)


def make(spec: dict[str, object]) -> Diffusion:
    torch.manual_seed(0)
    model = build_model({"network": NETWORK, **spec}, (1, 8, 8), classes=10)
    assert isinstance(model, Diffusion)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return model.eval()


@every_sentence
def test_claims_sampling_and_samples(spec: dict[str, object]) -> None:
    model = make(spec)
    assert isinstance(model, CanSample)
    images = model.sample(seeds=[3, 4], sampler=DDIM(steps=4))
    assert images.shape == (2, 1, 8, 8)
    assert images.isfinite().all()
    assert images.abs().max() <= 1


@every_sentence
def test_is_a_denoiser_that_splits_x_t(spec: dict[str, object]) -> None:
    model = make(spec)
    x_t = torch.randn(3, 1, 8, 8)
    t = torch.tensor([1.0, 0.5, 0.3], dtype=torch.float64) * model.schedule.t_max
    t = t if model.schedule.grid is None else t.round()
    if spec["parametrization"] == "velocity":
        t = t * 0.9
    denoised = model(x_t, t)
    again = denoised.lerp(model.schedule.alpha(t), model.schedule.sigma(t))
    torch.testing.assert_close(again, x_t, rtol=1e-3, atol=1e-3)


@every_sentence
def test_spec_round_trips(spec: dict[str, object]) -> None:
    model = make(spec)
    again = build_model(model_spec(model), (1, 8, 8), classes=10)
    again.load_state_dict(model.state_dict())
    assert torch.equal(model.sample(seeds=[1]), again.eval().sample(seeds=[1]))  # type: ignore[operator]


def test_an_image_depends_on_its_seed_alone() -> None:
    model = make(SENTENCES["DDPM"])
    for sampler in (DDIM(steps=5), Ancestral(steps=20)):
        together = model.sample(seeds=[7, 8, 9], sampler=sampler)
        alone = model.sample(seeds=[8], sampler=sampler)
        torch.testing.assert_close(alone[0], together[1], rtol=1e-4, atol=1e-4)


def test_a_condition_is_embedded_once_in_a_call() -> None:
    """Once with the label and once without it, for 4 steps of classifier-free guidance; the images are the same."""
    model, cond = make(SENTENCES["class-conditional"]), {"label": torch.tensor([1, 2])}
    guided = ClassifierFree(2.0)
    every_time = DDIM(steps=4).run(Clipped(guided(model)), model.prior([3, 4]), [3, 4], cond)
    embedded: list[object] = []
    assert model.conditioner is not None
    model.conditioner.register_forward_hook(lambda *_: embedded.append(1))
    drawn = model.sample([3, 4], cond, DDIM(steps=4), guided)
    assert torch.equal(drawn, model.codec.decode(every_time))
    assert len(embedded) == 2


def test_one_time_for_all_rows_is_that_time_in_every_row() -> None:
    """Computed once as numbers, or row by row as tensors."""
    for spec in SENTENCES.values():
        model = make(spec)
        x_t, t = torch.randn(3, 1, 8, 8), torch.tensor(0.5 * model.schedule.t_max, dtype=torch.float64)
        once, by_row = model(x_t, t), model(x_t, t.expand(3))
        torch.testing.assert_close(once.x_0, by_row.x_0, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(once.eps, by_row.eps, rtol=1e-5, atol=1e-5)


def test_no_seeds_no_images() -> None:
    assert make(SENTENCES["DDPM"]).sample(seeds=[]).shape == (0, 1, 8, 8)


def test_learned_variance_doubles_the_output_and_lies_between() -> None:
    model = make({"schedule": {"kind": "linear-betas", "T": 20}, "learned_variance": True})
    x_t = perturb(model.schedule, torch.zeros(2, 1, 8, 8), torch.randn(2, 1, 8, 8), 5)
    denoised = model(x_t, torch.tensor(5.0, dtype=torch.float64))
    assert denoised.x_0.shape == x_t.shape
    assert denoised.var_mix is not None
    assert denoised.var_mix.shape == x_t.shape
    assert torch.allclose(denoised.var_mix, torch.full_like(x_t, 0.5), atol=0.5)


def test_labels_need_labels() -> None:
    with pytest.raises(ValueError, match="needs labels"):
        build_model({"network": NETWORK, **SENTENCES["class-conditional"]}, (1, 8, 8), classes=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [({"kind": "difusion"}, "did you mean .diffusion."), ({"scheduler": "vp"}, "did you mean 'schedule'")],
)
def test_unknown_words_are_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(spec, (1, 8, 8), classes=0)


def test_with_lora_the_adapters_alone_learn_and_the_model_is_as_before_at_first() -> None:
    torch.manual_seed(0)
    plain = build_model({"network": NETWORK}, (1, 8, 8), classes=0).eval()
    adapted = build_model({"network": NETWORK, "lora": {"rank": 2}}, (1, 8, 8), classes=0).eval()
    missing, unexpected = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(".lora." in name for name in missing)
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".lora." in name for name in trained)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor(500.0)
    torch.testing.assert_close(plain(x, t).x_0, adapted(x, t).x_0)
    assert model_spec(adapted)["lora"] == {"rank": 2}  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unknown key 'rnk' in model\.lora; did you mean 'rank'"):
        build_model({"network": NETWORK, "lora": {"rnk": 2}}, (1, 8, 8), classes=0)
