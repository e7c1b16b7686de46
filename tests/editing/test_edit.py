"""Editing picture files with a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import unnoise
from unnoise.aliases import Conditions
from unnoise.cli.edit import edit as app
from unnoise.editing import Colourise, Deblur, Inpaint, Outpaint, Upscale, Vary, edit
from unnoise.editing.denoise import denoise_picture
from unnoise.editing.edit_latents import edit_latents
from unnoise.editing.latent_space import ITERATIONS
from unnoise.editing.margins import margins
from unnoise.inverse import Grey
from unnoise.networks.clusters import ClusterConditioner
from unnoise.networks.conditioner import Conditioning, SingleConditioner
from unnoise.runs.run import Run
from unnoise.sampling.conditions import SampleConditions
from unnoise.sampling.guidance_options import GuidanceOptions

SMALL = {
    "model.network.channels": 8,
    "model.network.blocks": 1,
    "model.schedule.T": 20,
    "sampler.steps": 2,
    "train.batch_size": 4,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edits") / "run"
    unnoise.train("digits", "ddpm-digits", folder, steps=1, overrides=SMALL)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    levels = np.random.default_rng(0).integers(256, size=(8, 8), dtype=np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    for name, array in {
        "image": levels,
        "small": levels[:4, :4],
        "mask": mask,
        "wide": np.zeros((8, 9), np.uint8),
    }.items():
        Image.fromarray(array).save(folder / f"{name}.png")
    return folder


def read(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


OTHER = {
    "model.network.channels": 8,
    "model.network.attention": [],
    "train.batch_size": 4,
    "train.samples": 0,
    "data.limit": 32,
}


@pytest.fixture(scope="module")
def runs(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run of pixels, one of latents, one of RGB latents, and one that takes classes."""
    folder = tmp_path_factory.mktemp("more")
    codec = {"train.batch_size": 4, "train.samples": 0, "model.channels": 8, "data.limit": 32}
    for source, name in (("digits", "latents"), ("glyphs:size=16,n=40", "colours")):
        unnoise.train(source, "vae-latent", folder / "codec" / name, steps=1, overrides=codec)
        options = {**OTHER, "model.codec.run": str(folder / "codec" / name)}
        unnoise.train(source, "ldm", folder / name, steps=1, overrides=options)
    unnoise.train("digits", "ddpm-class", folder / "classes", steps=1, overrides=OTHER)
    return {"pixels": run, **{name: folder / name for name in ("latents", "colours", "classes")}}


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clustered") / "run"
    overrides = {**SMALL, "train.batch_size": 64, "model.conditioner": {"kind": "cluster", "clusters": 30, "dim": 4}}
    unnoise.train("digits", "ddpm-digits", folder, steps=1, overrides=overrides)
    return folder


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("inpaint", {}),
        ("inpaint", {"method": "repaint"}),
        ("upscale", {"factor": 2}),
        ("deblur", {"std": 0.8}),
        ("vary", {"strength": 0.5}),
        ("invert", {}),
        ("denoise", {}),
    ],
    ids=str,
)
def test_edits_ask_for_the_cluster_of_the_picture(
    clustered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: dict[str, Any]
) -> None:
    """Untold, the network answers from the part of it that hears of no cluster in training, which is less trained."""
    told: list[Tensor] = []
    embed = ClusterConditioner.embed

    def heard(self: ClusterConditioner, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        told.append(value.argmax(1) if value.is_floating_point() else value)
        return embed(self, value, dropped, cond)

    monkeypatch.setattr(ClusterConditioner, "embed", heard)
    picture, mask = tmp_path / "digit.png", tmp_path / "mask.png"
    digit = np.asarray(unnoise.open_source("digits").pixels)[3]
    Image.fromarray(digit[0]).save(picture)
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(mask)
    if name == "invert":
        edit_latents(clustered, "invert", [picture], steps=3)
    elif name == "denoise":
        denoise_picture(clustered, picture)
    else:
        work = {"inpaint": Inpaint, "upscale": Upscale, "deblur": Deblur, "vary": Vary}[name]
        masked = {"mask": mask} if name == "inpaint" else {}
        edit(clustered, work(image=picture, steps=3, **masked, **given), [5, 6])
    model = Run.open(clustered).load("cpu")
    image = torch.from_numpy(digit[None].astype(np.float32)) / 127.5 - 1
    own = model.conditioner.derive(image, {})["cluster"]  # type: ignore[union-attr]
    assert told
    for value in told:
        assert (value == own).all()


@pytest.mark.parametrize("kind", ["pixels", "latents"])
@pytest.mark.parametrize("method", ["ddnm", "pigdm", "mmps", "dps", "repaint"])
def test_inpainting_keeps_the_files_black_masked_pixels(
    runs: dict[str, Path], pictures: Path, tmp_path: Path, kind: str, method: str
) -> None:
    work = Inpaint(image=pictures / "image.png", mask=pictures / "mask.png", method=method, steps=3)
    result = edit(runs[kind], work, [5, 6], out=tmp_path / "strip.png")
    assert result["images"] == len(result["files"]) == 2
    assert result["network_calls"] >= work.calls
    for file in result["files"]:
        assert (read(file)[:, :4] == read(pictures / "image.png")[:, :4]).all()
    assert (read(result["files"][0]) != read(result["files"][1])).any()
    assert Path(result["out"]).is_file()


@pytest.mark.parametrize("kind", ["pixels", "latents"])
@pytest.mark.parametrize(
    ("place", "corner"), [({}, (2, 2)), ({"at": "3,1"}, (3, 1)), ({"anchor": "bottom-right"}, (4, 4))], ids=str
)
def test_outpainting_keeps_the_picture_where_it_was_placed(
    runs: dict[str, Path], pictures: Path, kind: str, place: dict[str, str], corner: tuple[int, int]
) -> None:
    result = edit(runs[kind], Outpaint(image=pictures / "small.png", steps=3, **place), [0, 1])
    (x, y), given = corner, read(pictures / "small.png")
    for file in result["files"]:
        assert read(file).shape == (8, 8)
        assert (read(file)[y : y + 4, x : x + 4] == given).all()
    assert (read(result["files"][0]) != read(result["files"][1])).any()


def test_upscaling_takes_small_pictures(runs: dict[str, Path], pictures: Path) -> None:
    for kind in ("pixels", "latents"):
        result = edit(runs[kind], Upscale(image=pictures / "small.png", factor=2, steps=3), [0])
        assert read(result["files"][0]).shape == (8, 8)
        assert Path(result["out"]).parent == runs[kind] / "samples"
        assert result["network_calls"] == 3


def test_colourising_gives_a_grey_picture_its_luma_back(runs: dict[str, Path], tmp_path: Path) -> None:
    """DDNM projects onto the observation whatever the prior says; through a decoder nothing promises as much."""
    levels = np.random.default_rng(1).integers(60, 200, size=(16, 16), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "grey.png")
    result = edit(runs["colours"], Colourise(image=tmp_path / "grey.png", steps=3), [0])
    assert read(result["files"][0]).shape == (16, 16, 3)
    folder = unnoise.train("glyphs:size=16,n=40", "ddpm-64", tmp_path / "rgb", steps=1, overrides=OTHER).folder
    result = edit(folder, Colourise(image=tmp_path / "grey.png", method="ddnm", steps=3), [0])
    drawn = torch.from_numpy(read(result["files"][0])).permute(2, 0, 1)[None].float()
    assert float((Grey().forward(drawn)[0, 0] - torch.from_numpy(levels)).abs().median()) <= 2
    assert (drawn[0, 0] != drawn[0, 2]).any(), "it has colours"


def test_deblurring_and_varying(runs: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    for kind in ("pixels", "latents"):
        deblurred = edit(
            runs[kind], Deblur(image=pictures / "image.png", std=0.7, steps=3), [0], out=tmp_path / f"{kind}-d.png"
        )
        assert read(deblurred["files"][0]).shape == (8, 8)
        same = edit(
            runs[kind], Vary(image=pictures / "image.png", strength=0.0, steps=3), [0], out=tmp_path / f"{kind}-s.png"
        )
        if kind == "pixels":
            assert (read(same["files"][0]) == read(pictures / "image.png")).all()
        varied = edit(runs[kind], Vary(image=pictures / "image.png", steps=4), [0, 1], out=tmp_path / f"{kind}-v.png")
        assert varied["network_calls"] == 2
        assert (read(varied["files"][0]) != read(varied["files"][1])).any()


@pytest.mark.parametrize("fit", ["crop", "pad", "resize"])
def test_a_photograph_of_any_size_is_edited_and_given_back_at_its_own(
    run: Path, pictures: Path, tmp_path: Path, fit: str
) -> None:
    levels = np.random.default_rng(2).integers(256, size=(30, 40, 3), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "photo.jpg")
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 15:25] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = {"image": tmp_path / "photo.jpg", "steps": 2, "fit": fit}
    at_the_runs = edit(run, Vary(**options), [0], out=tmp_path / "a.png")
    assert read(at_the_runs["files"][0]).shape == (8, 8)
    work = Inpaint(mask=tmp_path / "mask.png", own_size=True, **options)
    assert read(edit(run, work, [0], out=tmp_path / "b.png")["files"][0]).shape == (30, 40)


def test_a_label_and_guidance_change_what_is_drawn(
    runs: dict[str, Path], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is told the label for both rows, and nothing, in turn: two calls a step."""
    told: list[Any] = []
    plain = SingleConditioner.forward

    def forward(self: SingleConditioner, cond: Any, count: int) -> Any:
        told.append(None if cond is None else cond["label"].tolist())
        return plain(self, cond, count)

    monkeypatch.setattr(SingleConditioner, "forward", forward)
    for work in (
        Vary(image=pictures / "image.png", strength=1.0, steps=2),
        Inpaint(image=pictures / "image.png", mask=pictures / "mask.png", steps=2),
    ):
        told.clear()
        conditions, guidance = SampleConditions(label="7"), GuidanceOptions(3.0)
        result = edit(
            runs["classes"],
            work,
            [0, 1],
            conditions=conditions,
            guidance=guidance,
            out=tmp_path / "l.png",
            overwrite=True,
        )
        assert result["network_calls"] == 4
        assert told[:2] == [[7, 7], None]
    with pytest.raises(ValueError, match="takes no label"):
        edit(runs["pixels"], Vary(image=pictures / "image.png"), [0], conditions=SampleConditions(label="7"))


@pytest.mark.parametrize("task", ["vary", "outpaint"])
def test_the_commands_print_json(run: Path, pictures: Path, capsys: Any, tmp_path: Path, task: str) -> None:
    picture = pictures / ("image.png" if task == "vary" else "small.png")
    more = ["--strength", "0.5"] if task == "vary" else ["--at", "0,4", "--method", "ddnm"]
    arguments = [task, str(run), str(picture), "-n", "2", "--steps", "4", "--json", *more]
    app([*arguments, "--out", str(tmp_path / "v.png")], result_action="return_value")
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["images"], result["seeds"]) == (task, 2, [0, 1])
    assert result["network_calls"] == {"vary": 2, "outpaint": 4}[task]
    assert read(result["out"]).shape[1] > 3 * read(result["files"][0]).shape[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Inpaint(image=p / "image.png", mask=p / "wide.png"), "9x8 pixels, the picture .* 8x8"),
        (lambda p: Vary(image=p / "image.png", fit="stretch", steps=2), "unknown fit 'stretch'"),
        (lambda p: Upscale(image=p / "small.png", factor=2, own_size=True, steps=2), "leave out --own-size"),
        (lambda p: Outpaint(image=p / "wide.png"), "9x8 pixels, larger than the 8x8 that the run makes; resize it"),
        (lambda p: Outpaint(image=p / "image.png"), "nothing around it to draw"),
        (lambda p: Outpaint(image=p / "small.png", at="5,0"), "X goes to 4, Y to 4"),
        (lambda p: Outpaint(image=p / "small.png", at="-1,0"), "X goes to 4, Y to 4"),
        (lambda p: Outpaint(image=p / "small.png", at="left"), "X,Y in pixels, such as 8,16; got 'left'"),
        (lambda p: Outpaint(image=p / "small.png", at="1,2", anchor="left"), "--at or --anchor, not both"),
        (lambda p: Outpaint(image=p / "small.png", anchor="center"), "did you mean 'centre'"),
        (lambda p: Colourise(image=p / "image.png"), r"RGB images, and this one has 1 channel\(s\)"),
    ],
)
def test_what_cannot_be_done_is_refused(run: Path, pictures: Path, make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edit(run, make(pictures), [0])


def test_margins_add_up_to_the_canvas() -> None:
    assert margins((4, 6), (8, 9), None, None, "a") == (1, 2, 2, 2)
    assert margins((4, 6), (8, 9), None, "top-right", "a") == (3, 0, 0, 4)
    assert margins((4, 9), (8, 9), "0,3", None, "a") == (0, 0, 3, 1)


def test_a_version_depends_on_its_seed_alone(run: Path, pictures: Path, tmp_path: Path) -> None:
    """More versions than are drawn at once, and one of the second batch alone."""
    work = Vary(image=pictures / "image.png", steps=4)
    many = edit(run, work, range(18), out=tmp_path / "many.png")
    assert (many["images"], len(many["files"]), many["network_calls"]) == (18, 18, 4)
    one = edit(run, work, [17], out=tmp_path / "one.png")
    assert np.abs(read(one["files"][0]).astype(int) - read(many["files"][17])).max() <= 1


def test_more_steps_than_the_schedule_has_are_as_many_as_it_has(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's schedule has 20 native steps; the defaults of edits have more."""
    result = edit(run, Vary(image=pictures / "image.png", strength=1.0, steps=100), [0], out=tmp_path / "v.png")
    assert (result["sampler"], result["network_calls"]) == ("ddim@20", 20)
    assert "the run's schedule has 20 steps: vary takes 20 in place of 100" in capsys.readouterr().err
    small = edit(run, Upscale(image=pictures / "small.png", factor=2, method="ddnm"), [0], out=tmp_path / "u.png")
    assert small["sampler"] == "ddim@20:eta=1"
    inverted = edit_latents(run, "invert", [str(pictures / "image.png")], out=tmp_path / "i.png")
    assert inverted["network_calls"] == 20 * (ITERATIONS + 1)


def test_a_result_that_disagrees_with_the_picture_is_called_poor(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No image blurs to noise of single pixels; DDNM projects onto known pixels, whatever the network says."""
    work = Deblur(image=pictures / "image.png", std=2.0, noise=0.01, steps=3)
    result = edit(run, work, [3, 4], out=tmp_path / "d.png")
    assert result["poor"] == [3, 4]
    assert min(result["residual"]) > 2 * result["expected_residual"]
    assert "poor result: every version disagrees with the picture" in capsys.readouterr().err
    work = Inpaint(image=pictures / "image.png", mask=pictures / "mask.png", method="ddnm", steps=3)
    fine = edit(run, work, [3], out=tmp_path / "i.png")
    assert (fine["poor"], capsys.readouterr().err) == ([], "")
    assert "residual" not in edit(run, Vary(image=pictures / "image.png", steps=3), [3], out=tmp_path / "v.png")


def test_a_sharp_picture_is_not_blown_out_by_deblurring(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the noise that is estimated, fewer pixels are black or white than with the little that others have."""
    levels = np.random.default_rng(3).integers(70, 186, size=(8, 8), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "sharp.png")
    blown = []
    for noise in (0.01, None):
        work = Deblur(image=tmp_path / "sharp.png", std=1.5, method="ddnm", noise=noise)
        drawn = read(edit(run, work, [0], out=tmp_path / f"{noise}.png")["files"][0])
        blown.append(float(((drawn < 3) | (drawn > 252)).mean()))
    assert blown[1] < blown[0] / 2
    assert "detail that a blur of 1.5 pixels cannot have left" in capsys.readouterr().err


def test_a_strip_is_a_png_and_nothing_is_drawn_before_its_name_is_refused(run: Path, pictures: Path) -> None:
    with pytest.raises(ValueError, match=r"strip.jpg: its name has to end in .png"):
        edit(run, Vary(image=pictures / "missing.png"), [0], out=pictures / "strip.jpg")


def test_no_image_is_refused(run: Path, pictures: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 image"):
        edit(run, Vary(image=pictures / "image.png"), [])
