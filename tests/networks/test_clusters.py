"""Clusters as a condition that a model draws by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.interop.graphs import example_conditions
from unnoise.interop.told import told_table
from unnoise.inverse import Blur, Downsampling, Inpainting, Operator
from unnoise.models.assembly import build_model, model_spec
from unnoise.models.diffusion import Diffusion
from unnoise.networks.clusters import ClusterConditioner, thumbnails
from unnoise.networks.combined import build_conditioner
from unnoise.samplers import DDIM
from unnoise.sampling.guidance_options import GuidanceOptions

COUNTS = (50, 30, 20)
"""Images of each of three kinds."""


def kinds() -> Tensor:
    """Images (100, 1, 16, 16) that are dark, grey and bright, each with its own noise."""
    levels = torch.tensor([-0.8, 0.0, 0.8]).repeat_interleave(torch.tensor(COUNTS))
    return levels.view(-1, 1, 1, 1) + 0.05 * torch.randn(100, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def fitted(clusters: int = 3, **options: Any) -> ClusterConditioner:
    torch.manual_seed(0)
    made = ClusterConditioner(channels=1, clusters=clusters, dim=4, **options)
    made.fit(lambda: kinds().split(33))
    return made


def model() -> Diffusion:
    """A clustered model with every parameter off zero, so that a cluster shows at the output."""
    torch.manual_seed(0)
    network = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
    made = build_model({"network": network, "conditioner": {"kind": "cluster", "clusters": 3}}, (1, 16, 16), 0)
    assert isinstance(made, Diffusion)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    made.fit_conditions(lambda: kinds().split(50))
    return made.eval()


def test_the_clusters_are_the_kinds_of_images_and_their_shares() -> None:
    made = fitted()
    found = made.derive(kinds(), {})["cluster"]
    assert [len(part.unique()) for part in found.split(COUNTS)] == [1, 1, 1]
    assert len(found.unique()) == 3
    assert made.share[found[[0, 50, 80]]].tolist() == pytest.approx([0.5, 0.3, 0.2])


def test_the_cluster_of_an_image_has_the_nearest_mean() -> None:
    made, images = fitted(clusters=12), kinds()
    distances = torch.cdist(thumbnails(images).double(), made.centers.double())
    assert torch.equal(made.derive(images, {})["cluster"], distances.argmin(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made.derive(images, {})["cluster"], distances.argmin(1))


def bars() -> Tensor:
    """Images (60, 1, 16, 16) with a dark bar, ten in each of three places down and three across, with noise."""
    images = torch.full((6, 1, 16, 16), 0.5)
    for place in range(3):
        images[place, :, :, 5 * place : 5 * place + 5] = -0.5
        images[3 + place, :, 5 * place : 5 * place + 5] = -0.5
    noise = torch.randn(60, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return images.repeat_interleave(10, 0) + 0.1 * noise


LEFT = Inpainting(torch.arange(16).expand(16, 16) < 5)
"""What of a picture is known."""


@pytest.mark.parametrize(
    ("operator", "told_apart"),
    [(Downsampling(4), range(60)), (Blur(2.0), range(60)), (LEFT, [*range(10), *range(30, 60)])],
)
def test_what_was_seen_of_an_image_tells_its_cluster(operator: Operator, told_apart: Sequence[int]) -> None:
    """Of the left third the bars across can be told, and that one down which lies there."""
    images, made = bars(), ClusterConditioner(channels=1, clusters=6, dim=4)
    made.fit(lambda: [images])
    own = made.derive(images, {})["cluster"]
    assert len(own.unique()) == 6
    found = made.explain(operator.forward, operator.forward(images), (16, 16))["cluster"]
    assert torch.equal(found[told_apart], own[told_apart])


def test_a_model_that_draws_nothing_by_itself_explains_nothing() -> None:
    cond, image = {"label": torch.tensor([1])}, kinds()[:1]
    plain = build_model({"network": {"kind": "unet", "channels": 8, "multipliers": [1]}}, (1, 16, 16), 0)
    assert plain.explained(cond, lambda x: x, image) is cond
    assert plain.explained(None, lambda x: x, image) is None


def test_conditions_that_are_given_stay_where_a_picture_is_explained() -> None:
    made, image = model(), kinds()[80:81]
    (own,) = (made.explained(None, lambda x: x, image) or {})["cluster"].tolist()
    given = {"cluster": torch.tensor([(own + 1) % 3])}
    assert made.explained(given, lambda x: x, image) == given
    assert own == made.conditioner.derive(image, {})["cluster"].item()  # type: ignore[union-attr]


def test_thumbnails_are_means_of_fields() -> None:
    image = torch.arange(2 * 256.0).view(1, 2, 16, 16)
    assert thumbnails(image)[0, 64 + 9].item() == image[0, 1, 2:4, 2:4].mean().item()


def test_a_shown_cluster_is_the_mean_thumbnail_of_its_images_and_none_where_it_is_dropped() -> None:
    made, images = fitted(shown=True).eval(), kinds()
    told = made(made.derive(images, {}), 100, torch.arange(100) >= 90)
    assert told.vector is not None
    assert told.spatial is not None
    assert told.spatial.shape == (100, 1, 8, 8)
    for first, of_kind in zip((0, 50, 80), images.split(COUNTS), strict=True):
        mean = thumbnails(of_kind).mean(0).view(1, 8, 8)
        torch.testing.assert_close(told.spatial[first], mean, rtol=0, atol=1e-6)
    assert (told.spatial[90:] == 0).all()
    assert made(None, 5).spatial is None
    assert fitted()(made.derive(images, {}), 100).spatial is None


@pytest.mark.parametrize("shown", [False, True])
def test_between_clusters_the_network_is_told_their_mean(shown: bool) -> None:
    made = fitted(shown=shown).eval()
    dropped = torch.tensor([False, False, True])
    number = torch.tensor([0, 2, 1])
    one_hot = torch.eye(3)[number]
    by_number, by_weights = made({"cluster": number}, 3, dropped), made({"cluster": one_hot}, 3, dropped)
    torch.testing.assert_close(by_weights.vector, by_number.vector)
    torch.testing.assert_close(by_weights.spatial, by_number.spatial)
    halves = made({"cluster": torch.tensor([[0.5, 0.0, 0.5]])}, 1)
    assert by_number.vector is not None
    torch.testing.assert_close(halves.vector, by_number.vector[:2].mean(0, keepdim=True))
    if shown:
        assert by_number.spatial is not None
        torch.testing.assert_close(halves.spatial, by_number.spatial[:2].mean(0, keepdim=True))


def test_clusters_are_drawn_as_often_as_images_are_in_them() -> None:
    made, n = fitted(), 20_000
    drawn = torch.bincount(made.own(range(n))["cluster"], minlength=3) / n
    deviation = (made.share * (1 - made.share) / n).sqrt()
    assert ((drawn - made.share).abs() < 4 * deviation).all()


def test_a_cluster_depends_on_its_seed_alone() -> None:
    made = fitted()
    together = made.own([3, 4, 5, 6])["cluster"]
    assert [made.own([seed])["cluster"].item() for seed in (3, 4, 5, 6)] == together.tolist()


def test_a_second_fit_keeps_the_means_and_counts_anew() -> None:
    made = fitted()
    before, dark = made.centers.clone(), made.derive(kinds()[:1], {})["cluster"]
    made.fit(lambda: [kinds()[:50]])
    assert torch.equal(made.centers, before)
    assert made.share[dark].item() == 1


def test_more_clusters_than_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"clusters=101 needs at least as many images, and there are 100"):
        fitted(clusters=101)


def test_a_model_draws_its_own_clusters_where_none_are_given() -> None:
    made, seeds, sampler = model(), range(8), DDIM(steps=3)
    own = made.completed(None, seeds)
    assert own is not None
    drawn = made.sample(seeds, sampler=sampler)
    torch.testing.assert_close(drawn, made.sample(seeds, own, sampler))
    last = list(made.stream(seeds, sampler=sampler))[-1]
    torch.testing.assert_close(drawn, made.decode_point(last.x))
    other = {"cluster": (own["cluster"] + 1) % 3}
    assert (drawn - made.sample(seeds, other, sampler)).abs().max() > 1e-3


def test_guidance_is_towards_the_clusters() -> None:
    made = model()
    guide = GuidanceOptions(guidance=3.0).for_model(made, None)
    assert guide is not None
    plain, guided = (made.sample(range(4), sampler=DDIM(steps=3), guidance=how) for how in (None, guide))
    assert (plain - guided).abs().max() > 1e-3


def test_the_weights_bring_the_clusters() -> None:
    made = model()
    again = build_model(model_spec(made), (1, 16, 16), 0)
    again.load_state_dict(made.state_dict())
    assert isinstance(again, Diffusion)
    torch.testing.assert_close(again.eval().sample(range(3)), made.sample(range(3)))


def test_side_by_side_with_what_augmentation_did() -> None:
    both = build_conditioner(
        {"kind": "combined", "parts": {"cluster": {"clusters": 3, "dim": 4}, "augment": {"features": 2}}}, channels=1
    )
    asked: list[int] = []

    def images() -> Iterator[Tensor]:
        asked.append(1)
        yield from kinds().split(10)

    both.fit(images)
    assert len(asked) == 1  # by the clusters, one batch after another; nobody keeps them all
    assert set(both.own([1, 2])) == {*both.draws} == {"cluster"}
    assert both.names == ()
    assert both.choices == {"cluster": 3}


def test_exports_are_given_clusters_as_classes() -> None:
    made = model()
    told = told_table(made)
    assert told is not None
    assert told.maps is None
    table = made.conditioner.table.weight  # type: ignore[union-attr]
    assert torch.equal(told.vectors, table.detach())  # type: ignore[union-attr]
    assert example_conditions(made)["cluster"].dtype == torch.int64
