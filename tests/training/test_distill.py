from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unnoise
from unnoise.guidance import ClassifierFree
from unnoise.models import Diffusion
from unnoise.objectives.few_calls import START
from unnoise.objectives.reflow import Reflow
from unnoise.runs.checkpoint import checkpoints
from unnoise.runs.run import Run
from unnoise.samplers import DDIM, IPNDM, Renoise, Sampler
from unnoise.training.distill import distill
from unnoise.training.methods import METHODS, method_of
from unnoise.training.pairs import affordable_pairs, with_pairs
from unnoise.training.train import train

SMALL = {
    "model.network.channels": 8,
    "model.network.blocks": 1,
    "model.schedule.T": 50,
    "model.parametrization": "v",
    "train.batch_size": 8,
    "train.samples": 2,
    "train.minutes": 0.5,
    "data.limit": 64,
}

PREDICTS_X0 = {"model.parametrization": "x0"}
BRIEF: dict[str, dict[str, Any]] = {"reflow": {"objective.pairs": 8, "objective.draw_steps": 2}}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("distill") / "teacher"
    train("digits", "ddpm-digits", out, steps=3, overrides=SMALL, device="cpu")
    return out


def weights(run: Run, name: str) -> dict[str, torch.Tensor]:
    return checkpoints(run.folder / "checkpoints")[-1].tensors(name)


def test_a_student_has_its_teachers_sentence_and_begins_with_its_weights(teacher: Path, tmp_path: Path) -> None:
    still = {"train.learning_rate": 1e-12}
    run = distill(teacher, "adversarial", tmp_path / "student", 2, overrides=still, device="cpu")
    base = unnoise.Run.open(teacher)
    assert run.config["model"] == {**base.config["model"], "jumps": True}
    assert run.config["train"]["minutes"] == 0
    assert isinstance(run.sampler(), Renoise)
    known = unnoise.load(teacher, "cpu").state_dict()
    for name in ("model", "teacher"):
        for key, value in weights(run, name).items():
            torch.testing.assert_close(value, known[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["adversarial", "distribution-matching"])
def test_it_resumes_to_the_bit_and_keeps_its_teacher(teacher: Path, tmp_path: Path, method: str) -> None:
    def student(out: str, steps: int) -> Run:
        return distill(teacher, method, tmp_path / out, steps, device="cpu")

    whole = student("whole", 5)
    student("parts", 2)
    parts = student("parts", 5)
    assert parts.summary is not None
    assert parts.summary["resumed_from"] == 2
    for name in ("model", "ema", "teacher"):
        one, other = weights(whole, name), weights(parts, name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    before = unnoise.load(teacher, "cpu").state_dict()
    assert all(torch.equal(value, before[key]) for key, value in weights(whole, "teacher").items())


@pytest.mark.parametrize("method", METHODS)
def test_every_student_samples_in_one_call(teacher: Path, tmp_path: Path, method: str) -> None:
    run = distill(teacher, method, tmp_path / "student", 1, overrides=BRIEF.get(method), device="cpu")
    assert unnoise.load(run.folder, "cpu").sample(range(3), steps=1).shape == (3, 1, 8, 8)  # type: ignore[call-arg]
    assert run.config["objective"]["kind"] == METHODS[method].objective
    assert method_of(METHODS[method].objective) == method


@pytest.mark.parametrize("method", METHODS)
def test_a_student_is_made_for_the_calls_that_are_asked_for(teacher: Path, tmp_path: Path, method: str) -> None:
    if not METHODS[method].for_calls:
        refused(teacher, "leave --calls out", method=method, calls=1, out=tmp_path / "student")
        assert not (tmp_path / "student").exists()
        return
    run = distill(teacher, method, tmp_path / "student", 1, overrides=BRIEF.get(method), calls=4, device="cpu")
    assert run.config["objective"]["calls"] == run.config["sampler"]["steps"] == 4


@pytest.mark.parametrize(("predicts", "then"), [("v", "v"), ("x0", "x0-skip")])
def test_consistency_ties_a_run_that_predicts_x_0_to_its_input(tmp_path: Path, predicts: str, then: str) -> None:
    """With the same weights: where noise is strong both answer alike."""
    parts = {**SMALL, "model.parametrization": predicts}
    base = train("digits", "ddpm-digits", tmp_path / "teacher", steps=3, overrides=parts, device="cpu")
    still = {"train.learning_rate": 1e-12}
    run = distill(base, "consistency", tmp_path / "student", 1, overrides=still, device="cpu")
    assert run.config["model"]["parametrization"]["kind"] == then
    teacher, student = (part.load("cpu") for part in (base, run))
    assert isinstance(teacher, Diffusion)
    assert isinstance(student, Diffusion)
    x_t, t = teacher.prior(range(4)), torch.tensor(40.0, dtype=torch.float64)
    torch.testing.assert_close(student(x_t, t).x_0, teacher(x_t, t).x_0, rtol=0, atol=0.1)


def test_a_student_by_consistency_is_taught_on_by_the_teacher_that_it_has(tmp_path: Path) -> None:
    """It begins with the student's weights, answers as the teacher does, and resumes to the bit."""
    base = train(
        "digits", "ddpm-digits", tmp_path / "teacher", steps=3, overrides={**SMALL, **PREDICTS_X0}, device="cpu"
    )
    brisk = {"train.learning_rate": 0.1}
    first = distill(base, "consistency", tmp_path / "first", 2, overrides=brisk, device="cpu")

    def student(out: str, steps: int, **overrides: Any) -> Run:
        given = {f"train.{name}": value for name, value in overrides.items()}
        return distill(first, "distribution-matching", tmp_path / out, steps, overrides=given, device="cpu")

    still = student("still", 1, learning_rate=1e-12)
    assert still.config["model"]["parametrization"]["kind"] == "x0"
    begun, teacher = weights(first, "ema"), unnoise.load(base.folder, "cpu").state_dict()
    far = "network.last.weight"
    assert not torch.allclose(begun[far], teacher[far], atol=1e-4)
    for name, expected in (("model", begun), ("teacher", teacher), ("own", teacher)):
        for key, value in weights(still, name).items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-6)
    whole, _, resumed = student("whole", 4), student("parts", 2), student("parts", 4)
    for name in ("model", "ema", "teacher", "own"):
        one, other = weights(whole, name), weights(resumed, name)
        assert all(torch.equal(one[key], other[key]) for key in one)


def refused(run: Path | Run, message: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=message):
        distill(run if isinstance(run, Path) else run.folder, device="cpu", **options)


def test_what_cannot_be_distilled_is_refused(teacher: Path, tmp_path: Path) -> None:
    refused(teacher, "did you mean 'consistency'", method="consistancy")
    refused(tmp_path, "no run")
    student = distill(teacher, "consistency", tmp_path / "student", 1, device="cpu")
    refused(student, "a student by consistency already", method="adversarial")
    tiny = {"train.samples": 0, "train.batch_size": 4, "data.limit": 16}
    autoencoder = train("digits", "autoencoder", tmp_path / "ae", steps=1, overrides=tiny, device="cpu")
    refused(autoencoder, "is of kind autoencoder")
    pixels = np.zeros((9, 8, 8), np.uint8)
    array = train(pixels, "ddpm-digits", tmp_path / "array", steps=1, overrides={**SMALL, "data.limit": 9})
    refused(array, "trained on an array")


def test_reflow_draws_its_pairs_once_and_resumes_to_the_bit(teacher: Path, tmp_path: Path) -> None:
    few = {"objective.pairs": 8, "objective.draw_steps": 3, "train.batch_size": 4}

    def student(out: str, steps: int) -> Run:
        return distill(teacher, "reflow", tmp_path / out, steps, overrides=few, device="cpu")

    whole = student("whole", 4)
    student("parts", 2)
    parts = student("parts", 4)
    for name in ("model", "ema", "teacher"):
        one, other = weights(whole, name), weights(parts, name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert parts.summary is not None
    assert set(parts.summary["straightness"]) == {"teacher", "student"}
    again = distill(whole.folder, "reflow", tmp_path / "again", 1, overrides=few, device="cpu")
    assert again.config["start"] == str(whole.folder.resolve())


def test_pairs_are_drawn_by_the_run_and_kept(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    base = Run.open(teacher)
    images, _ = base.open_data("train")
    model = base.load("cpu")
    assert isinstance(model, Diffusion)
    made = with_pairs(Reflow(model, pairs=5, draw_steps=4), base, images, 3, "cpu")
    assert made.latents is not None
    assert made.noise is not None
    assert len(made) == 5
    expected = IPNDM(steps=4).run(model.guided(), torch.from_numpy(made.noise))
    torch.testing.assert_close(torch.from_numpy(made.latents), expected, rtol=0, atol=1e-6)
    more = with_pairs(Reflow(model, pairs=7, draw_steps=4), base, images, 3, "cpu")
    assert np.array_equal(more.noise[:5], made.noise)  # type: ignore[index]
    monkeypatch.setattr("unnoise.training.pairs.drawn", lambda *given: pytest.fail("drawn again"))
    again = with_pairs(Reflow(model, pairs=5, draw_steps=4), base, images, 3, "cpu")
    assert np.array_equal(again.latents, made.latents)  # type: ignore[arg-type]
    assert with_pairs(Reflow(model, pairs=0), base, images, 3, "cpu") is images


def test_pairs_of_a_student_that_is_told_the_scale_have_one_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNNOISE_CACHE", str(tmp_path))
    conditional = {**SMALL, "model.conditioner": "class"}
    base = train("digits", "ddpm-digits", tmp_path / "teacher", steps=1, overrides=conditional, device="cpu")
    told = {"model.guidance_range": [1, 3], "objective.pairs": 8, "objective.draw_steps": 2, "train.samples": 0}
    run = distill(base.folder, "reflow", tmp_path / "student", 1, overrides=told, device="cpu")
    student, teacher = run.load("cpu"), base.load("cpu")
    assert isinstance(student, Diffusion)
    assert isinstance(teacher, Diffusion)
    images, _ = base.open_data("train")
    pairs = with_pairs(Reflow(student, pairs=8, draw_steps=2), base, images, 0, "cpu")
    assert pairs.scale is not None
    assert pairs.noise is not None
    assert 1 <= pairs.scale.min() < pairs.scale.max() <= 3
    batch = pairs.batch([5])
    assert batch.scale is not None
    guided = teacher.guided(ClassifierFree(float(batch.scale)))
    expected = IPNDM(steps=2).run(guided, batch.noise, cond=teacher.conditions(batch))  # type: ignore[arg-type]
    torch.testing.assert_close(batch.latents, expected, rtol=0, atol=1e-5)
    assert student.sample(n=2, label=1, guidance=2.5, steps=1).shape == (2, 1, 8, 8)
    refused(
        base.folder,
        "where a guidance scale means nothing",
        method="adversarial",
        overrides={"model.guidance_range": [1, 3]},
    )


def test_as_many_pairs_as_a_third_of_the_time_allows(teacher: Path, tmp_path: Path) -> None:
    base = Run.open(teacher)
    assert affordable_pairs(base, tmp_path / "new", 0.0, "cpu") == {}
    assert affordable_pairs(base, tmp_path / "new", 1e-6, "cpu") == {"objective.pairs": 256}
    assert affordable_pairs(base, tmp_path / "new", 1e6, "cpu") == {"objective.pairs": 16_384}


def test_the_page_about_students_describes_every_method() -> None:
    page = (Path(__file__).parents[2] / "docs" / "students.md").read_text("utf-8")
    assert all(f"| `{name}` | " in page for name in METHODS)


@pytest.mark.parametrize(
    ("method", "given", "sampler"),
    [
        ("adversarial", {"objective.start": 0.8, "objective.calls": 3}, Renoise(steps=3, start=0.8)),
        ("distribution-matching", {"objective.calls": 1}, Renoise(steps=1, start=START)),
        ("progressive", {"objective.calls": 4}, DDIM(steps=4, grid="trailing")),
        ("progressive", {"sampler.steps": 1}, DDIM(steps=1, grid="trailing")),
    ],
)
def test_a_student_draws_as_its_objective_trains_it(
    teacher: Path, tmp_path: Path, method: str, given: dict[str, Any], sampler: Sampler
) -> None:
    run = distill(teacher, method, tmp_path / "student", 1, overrides=given, device="cpu")
    assert run.sampler() == sampler
