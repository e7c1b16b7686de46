"""Samplers as text: what is written is what is built, and everything else is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from unnoise.errors import UserError
from unnoise.registry import build
from unnoise.samplers import DDIM, SAMPLERS, Ancestral, DPMSolver, Heun, Sampler, UniPC
from unnoise.samplers.spec import parse_sampler, sampler_text, split_samplers

TEXTS: dict[str, tuple[dict[str, Any], Sampler]] = {
    "ddim": ({"kind": "ddim"}, DDIM()),
    "ddim@20": ({"kind": "ddim", "steps": 20}, DDIM(steps=20)),
    "ddim@50:eta=0.5": ({"kind": "ddim", "steps": 50, "eta": 0.5}, DDIM(steps=50, eta=0.5)),
    "ddpm@100:variance=beta": ({"kind": "ddpm", "steps": 100, "variance": "beta"}, Ancestral(100, variance="beta")),
    "dpm-solver++@20:order=3": ({"kind": "dpm-solver++", "steps": 20, "order": 3}, DPMSolver(steps=20, order=3)),
    "heun:churn=40": ({"kind": "heun", "churn": 40.0}, Heun(churn=40.0)),
    "heun:churn=1e1,churn_max=inf": ({"kind": "heun", "churn": 10.0, "churn_max": float("inf")}, Heun(churn=10.0)),
    "unipc@3:grid=karras": ({"kind": "unipc", "steps": 3, "grid": "karras"}, UniPC(steps=3, grid="karras")),
    "ddim@2:grid=1000/39.5": ({"kind": "ddim", "steps": 2, "grid": (1000.0, 39.5)}, DDIM(2, grid=(1000.0, 39.5))),
    "ddim@1:grid=1000": ({"kind": "ddim", "steps": 1, "grid": (1000.0,)}, DDIM(1, grid=(1000.0,))),
    " ddim : eta = 1 ": ({"kind": "ddim", "eta": 1.0}, DDIM(eta=1.0)),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_a_spec_is_a_sampler_is_a_text(text: str) -> None:
    spec, sampler = TEXTS[text]
    assert parse_sampler(text) == spec
    assert build(SAMPLERS, spec, "sampler") == sampler
    assert build(SAMPLERS, parse_sampler(sampler_text(sampler)), "sampler") == sampler


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_written_by_its_name_and_steps(name: str) -> None:
    sampler = build(SAMPLERS, name, "sampler")
    assert sampler_text(sampler) == f"{name}@{sampler.steps}"


def test_only_what_is_not_the_default_is_written() -> None:
    assert sampler_text(DDIM(steps=20, eta=0.5)) == "ddim@20:eta=0.5"
    assert sampler_text(Heun(steps=18, churn=40.0, churn_min=0.05)) == "heun@18:churn=40,churn_min=0.05"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dimm@50", "unknown sampler 'dimm'; did you mean 'ddim'?"),
        ("", "unknown sampler ''"),
        ("ddim:et=0.5", "unknown key 'et' in sampler 'ddim'; did you mean 'eta'?"),
        ("ddim:eta", "cannot read 'eta' in the sampler 'ddim:eta'"),
        ("ddim:eta=", "cannot read 'eta='"),
        ("ddim:eta=high", "eta of ddim is a number, got 'high'"),
        ("ddim:eta=nan", "eta of ddim is a number, got 'nan'"),
        ("ddim:eta=2", "eta must lie in [0, 1], got 2.0"),
        ("ddim@many", "steps of ddim is a whole number, got 'many'"),
        ("ddim@0", "need at least 1 step, got 0"),
        ("ddim@", "steps of ddim is a whole number, got ''"),
        ("ddim@5:steps=6", "steps is given twice in 'ddim@5:steps=6'"),
        ("dpm-solver++:order=2.5", "order of dpm-solver++ is a whole number, got '2.5'"),
        ("dpm-solver++:order=7", "orders 1, 2 and 3, got 7"),
        ("ddpm:variance=gamma", "unknown variance 'gamma'"),
        ("ddim:grid=karas", "unknown grid 'karas'; did you mean 'karras'?"),
        ("tuned@5:eta=1", "unknown key 'eta' in sampler 'tuned'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_near(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_sampler(text, others=("tuned",))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_names_take_steps_alone() -> None:
    assert parse_sampler("tuned@5", others=("tuned",)) == {"kind": "tuned", "steps": 5}
    with pytest.raises(UserError, match="unknown sampler 'tuned'"):
        parse_sampler("tuned@5")


def test_a_list_of_samplers_is_split_between_samplers_and_not_between_options() -> None:
    text = "ddim@50:eta=0.5,grid=karras, ddpm ,dpm-solver++:order=2"
    assert split_samplers(text) == ["ddim@50:eta=0.5,grid=karras", "ddpm", "dpm-solver++:order=2"]
    assert split_samplers("") == []
