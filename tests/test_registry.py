from __future__ import annotations

import pytest

from unnoise.process.schedule import SCHEDULES, CosineBetas, LinearBetas
from unnoise.registry import build, describe, spec_of


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
        ({"kind": "linear-betas", "T": 0}, "T >= 1"),
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
