"""The teaching scripts of examples/: short, self-contained, and true."""

from __future__ import annotations

import ast
import importlib.util
import math
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
by_name = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def facts_of(name: str, **settings: int) -> dict[str, float]:
    """main(**settings) of examples/name.py, loaded from its file under a name that shadows nothing."""
    spec = importlib.util.spec_from_file_location(f"unnoise_example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    facts = module.main(**settings)
    assert all(math.isfinite(value) for value in facts.values()), facts
    return facts


def imported_packages(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    taken_from = {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in named | taken_from}


def test_one_script_per_family() -> None:
    families = "autoencoder consistency ddpm gan guidance rectified_flow score_matching vae"
    assert " ".join(path.stem for path in SCRIPTS) == families


@by_name
def test_short_and_self_contained(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 150
    assert imported_packages(path) <= {"torch"} | sys.stdlib_module_names


@by_name
def test_listed_in_the_readme(path: Path) -> None:
    assert path.name in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_autoencoder() -> None:
    facts = facts_of("autoencoder", steps=500)
    assert facts["pca_error"] * 0.999 < facts["linear_error"] < facts["pca_error"] * 1.1  # nothing linear beats PCA
    assert facts["curved_error"] < 0.5 * facts["pca_error"]
    assert facts["bayes_error"] < facts["denoiser_error"] < 0.5 * facts["mean_picture_error"]
    assert facts["tweedie_gap"] < 1e-4
    assert facts["score_cosine"] > 0.97


def test_vae() -> None:
    facts = facts_of("vae", steps=500)
    ladder = [facts[name] for name in ("elbo", "iw_5", "iw_50", "log_likelihood", "ceiling")]
    assert ladder == sorted(ladder)
    assert facts["log_likelihood"] - facts["elbo"] == pytest.approx(facts["posterior_kl"], abs=0.01)
    assert facts["log_likelihood"] - facts["iw_50"] < 0.3 * facts["posterior_kl"]
    assert facts["kl_error"] < 1e-3
    assert facts["elbo"] > -2.7  # one Gaussian with the mixture's covariance reaches -2.72


def test_gan() -> None:
    facts = facts_of("gan", steps=600)
    assert facts["grid_value"] == pytest.approx(facts["js_value"], abs=1e-4)
    assert facts["judge_error"] < 1e-2
    assert facts["minimax_slope"] == pytest.approx(facts["closed_minimax_slope"], rel=1e-9)
    assert facts["non_saturating_slope"] == pytest.approx(6 - facts["closed_minimax_slope"], rel=1e-9)
    assert facts["non_saturating_modes"] >= 6
    assert facts["non_saturating_close"] > 0.4


def test_ddpm() -> None:
    facts = facts_of("ddpm", updates=800, n=600)
    assert facts["exact"] < facts["bound_exact"] < facts["bound_coarse"]
    assert facts["bound_exact"] - facts["exact"] < 0.15
    assert facts["bound_exact"] < facts["bound_network"] < facts["bound_exact"] + 0.4
    for sampler in ("ancestral", "ddim"):
        assert facts[f"{sampler}_nll"] < facts["exact"] + 1.1
        assert facts[f"{sampler}_rarest"] > 0.06


def test_score_matching() -> None:
    facts = facts_of("score_matching", updates=800, n=500)
    assert facts["identity_error"] < 0.05
    assert facts["network_error"] < 0.2
    assert facts["ode_log_prob_error"] < 0.02
    assert facts["network_nll"] == pytest.approx(facts["nll"], abs=0.2)
    assert facts["plain_share"] > 0.35  # half of the noise starts on the wrong side and stays there
    for sampler in ("annealed", "ode"):
        assert facts[f"{sampler}_share"] == pytest.approx(0.2, abs=0.08)
        assert facts[f"{sampler}_nll"] < facts["nll"] + 0.6


def test_rectified_flow() -> None:
    facts = facts_of("rectified_flow", updates=600, n=800)
    assert facts["one_step_to_mean"] < 1e-5
    assert facts["exact_loss"] < facts["first_loss"] < facts["exact_loss"] + 0.1
    assert facts["exact_distance_50"] < 0.02
    assert facts["first_straightness"] == pytest.approx(facts["exact_straightness"], rel=0.3)
    assert facts["second_straightness"] < 0.3 * facts["first_straightness"]
    assert facts["second_distance_1"] < 0.3 * facts["first_distance_1"]
    assert facts["exact_cost"] < facts["cost_independent"]


def test_guidance() -> None:
    facts = facts_of("guidance", n=1000, steps=400)
    assert facts["disagreement"] < 1e-10
    assert facts["conditional_gap"] < 1e-12
    for w in ("0", "1"):
        assert facts[f"mean_{w}"] == pytest.approx(facts[f"tilted_mean_{w}"], abs=0.01)
        assert facts[f"std_{w}"] == pytest.approx(facts[f"tilted_std_{w}"], abs=0.01)
    assert facts["tilted_mean_1"] == pytest.approx(1.0, abs=1e-6)
    assert facts["certainty_0"] < facts["certainty_1"] < facts["certainty_3"]
    assert facts["mean_3"] > facts["tilted_mean_3"] + 0.3  # guided samples are not p(x) p(c | x)^w


def test_consistency() -> None:
    facts = facts_of("consistency", steps=1000, n=2000)
    assert facts["boundary"] < 1e-9
    assert facts["ode_rms"] < 0.03
    assert facts["student_rms"] < 0.4
    assert facts["w1_ode"] < 0.06
    assert facts["w1_one"] < 0.25 * facts["w1_denoiser"]
    assert facts["w1_two"] < facts["w1_one"] + 0.05
