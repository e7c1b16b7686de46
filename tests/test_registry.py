from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from unnoise.errors import UserError
from unnoise.models import MODELS
from unnoise.models.assembly import build_model
from unnoise.networks import NETWORKS
from unnoise.networks.conditioning import CONDITIONERS
from unnoise.process.parametrization import PARAMETRIZATIONS
from unnoise.process.schedule import SCHEDULES, CosineBetas, LinearBetas
from unnoise.process.timesteps import TIMESTEP_DISTRIBUTIONS
from unnoise.process.variance import VARIANCES
from unnoise.process.weight import WEIGHTS
from unnoise.registry import Bounds, Positive, Sizes, arguments_of, build, describe, fitted, spec_of
from unnoise.samplers import SAMPLERS
from unnoise.training.settings import TrainSettings


def test_build_and_spec_of_are_inverse() -> None:
    for name, cls in SCHEDULES.items():
        built = build(SCHEDULES, name, "schedule")
        assert built == cls()
        assert build(SCHEDULES, spec_of(SCHEDULES, built), "schedule") == built


def test_spec_carries_every_default() -> None:
    expected = {"kind": "linear-betas", "T": 10, "beta_start": 1e-4, "beta_end": 0.02}
    assert spec_of(SCHEDULES, LinearBetas(T=10)) == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cosine-beta", "did you mean 'cosine-betas'"),
        (
            {"kind": "cosine-betas", "max_betas": 3},
            "unknown key 'max_betas' in schedule 'cosine-betas'; did you mean 'max_beta'",
        ),
        ({"T": 3}, "needs a kind"),
        ({"kind": "linear-betas", "T": 0}, "must be a whole number at least 1 and at most 1048576, got 0"),
    ],
)
def test_errors_name_what_is_near(spec: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(SCHEDULES, spec, "schedule")  # type: ignore[arg-type]


def test_what_the_data_gives_cannot_be_configured() -> None:
    assert build(SCHEDULES, "cosine-betas", "schedule", T=7) == CosineBetas(T=7)
    with pytest.raises(ValueError, match="unknown key 'T'"):
        build(SCHEDULES, {"kind": "cosine-betas", "T": 3}, "schedule", T=7)


def test_describe_reads_the_constructor() -> None:
    assert [(option.name, option.default) for option in describe(CosineBetas)] == [
        ("T", 1000),
        ("s", 0.008),
        ("max_beta", 0.999),
    ]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3.0, int, 3),
        (1, float, 1),
        (True, bool, True),
        ([1, 2.0], tuple[int, ...], (1, 2)),
        ([], tuple[int, ...], ()),
        ("on", Literal["auto", "on"], "on"),
        (None, int | None, None),
        ({"a": 1}, Mapping[str, Any], {"a": 1}),
        ("karras", str | tuple[float, ...], "karras"),
        ([2.0, 1.0], str | tuple[float, ...], (2.0, 1.0)),
        ("x.png", Path, "x.png"),
        (0, Annotated[float, Bounds(0, below=1)], 0),
        ("anything", Any, "anything"),
    ],
)
def test_what_fits_an_annotation(value: object, hint: object, expected: object) -> None:
    found = fitted(value, hint, "x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("abc", int, "x must be a whole number, got 'abc'"),
        (1.5, int, "x must be a whole number, got 1.5"),
        (True, int, "a whole number, got True"),
        (float("inf"), int, "a whole number"),
        (1, bool, "true or false, got 1"),
        (float("nan"), float, "a number, got nan"),
        ("1", float, "a number"),
        (3, str, "text, got 3"),
        ([1, "a"], tuple[int, ...], "a list, each a whole number"),
        ([1], tuple[int, int], "a list of 2 items"),
        (3, tuple[int, ...], "a list"),
        ("onn", Literal["auto", "on", "off"], "one of auto, on, off, got 'onn'; did you mean 'on'"),
        ("atuo", Literal["auto", "on"] | None, "did you mean 'auto'"),
        (0, Positive, "a whole number at least 1, got 0"),
        ([], Sizes, "with at least 1"),
        ([0], Sizes, "at least 1"),
        (1.0, Annotated[float, Bounds(0, below=1)], "at least 0 and below 1"),
        (0, Annotated[float, Bounds(above=0)], "above 0"),
        ([], Mapping[str, Any], "a table of keys and values"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(value: object, hint: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fitted(value, hint, "x")


ODD = ("abc", -1, 0, 1.5, float("nan"), True, [], ["a"], {}, None, [1, 2, 3], [-1, -1])
SMALL = {"unet": {"channels": 8, "blocks": 1, "multipliers": [1, 2]}, "dit": {"dim": 32, "depth": 1, "heads": 2}}
SMALL["dit2d"] = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1}
SMALL["linear-attention-unet"] = {"dim": 8, "multipliers": [1]}
SMALL["unet2d"] = {"block_out_channels": [32], "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}
TABLES: dict[str, Mapping[str, type]] = {
    "schedule": SCHEDULES,
    "parametrization": PARAMETRIZATIONS,
    "timesteps": TIMESTEP_DISTRIBUTIONS,
    "weight": WEIGHTS,
    "variance": VARIANCES,
    "sampler": SAMPLERS,
}


def diffusion(**parts: Any) -> None:
    build_model({"network": {"kind": "unet", **SMALL["unet"]}, **parts}, (1, 8, 8), 3)


def from_table(table: Mapping[str, type], kind: str, what: str, given: dict[str, Any]) -> object:
    return build(table, {"kind": kind, **given}, what)


def builders() -> dict[str, tuple[type | None, Callable[[dict[str, Any]], object]]]:
    """What a configuration can build -> its class, and how it is built with one option set."""
    found: dict[str, tuple[type | None, Callable[[dict[str, Any]], object]]] = {
        f"{what} {kind}": (
            cls,
            lambda given, table=table, kind=kind, what=what: build(table, {"kind": kind, **given}, what),
        )
        for what, table in TABLES.items()
        for kind, cls in table.items()
    }
    for kind, cls in NETWORKS.items():
        found[kind] = cls, lambda given, kind=kind: diffusion(network={"kind": kind, **SMALL[kind], **given})
    for kind, cls in CONDITIONERS.items():
        needed = {"features": 3} if kind in ("vector", "augment") else {}
        found[kind] = (
            cls,
            lambda given, kind=kind, needed=needed: diffusion(conditioner={"kind": kind, **needed, **given}),
        )
    for kind, cls in MODELS.items():
        if kind != "diffusion":
            found[kind] = cls, lambda given, kind=kind: build_model({"kind": kind, **given}, (1, 8, 8), 3)
    found["[train]"] = TrainSettings, lambda given: TrainSettings(**arguments_of(TrainSettings, given, "[train]"))
    found["diffusion"] = None, lambda given: diffusion(**given)
    return found


BUILDERS = builders()
PARTS = ("clip", "learned_variance", "lora", "conditioner", "network", "schedule", "parametrization", "codec")


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", BUILDERS)
def test_odd_values_in_a_configuration_are_refused_or_taken_but_never_a_bug(name: str) -> None:
    cls, built = BUILDERS[name]
    for option in PARTS if cls is None else [option.name for option in describe(cls)]:
        for value in ODD:
            with suppress(UserError):
                built({option: value})
