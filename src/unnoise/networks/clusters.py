"""Clusters of the training images as a condition that nobody is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.aliases import Conditions, Observe, Spec
from unnoise.errors import UserError
from unnoise.networks.conditioner import Conditioning, TableConditioner
from unnoise.registry import Fraction, Positive
from unnoise.seeding import SeededNoise

SIDE = 8
"""Pixels a side of the thumbnails that clusters are made of."""
AT_ONCE = 16
"""Clusters whose means are made pictures of the images' size together."""
PURPOSE = 2
"""Of the draws of clusters: not those of x_T, nor of a sampler."""


class ClusterConditioner(TableConditioner):
    """A learned vector per cluster of the training images, and one more for 'no cluster' (Bao et al. 2022, section 4).

    p(x) = sum_k p(k) p(x | k): the network learns each p(x | k), which is simpler than p(x), and in sampling k is drawn
    as often as training images are in it. Clusters are those of k-means on thumbnails of 8x8 pixels, and an image's is
    the one whose mean is nearest. Reads cond['cluster'] (B,) int64, or weights (B, clusters) float of what lies between
    clusters; fills `vector`. shown: and `spatial`, with the mean
    thumbnail of the cluster, which a network would have to learn to paint otherwise. channels comes from the data.
    """

    key = "cluster"
    told = draws = ("cluster",)
    centers: Tensor
    share: Tensor

    def __init__(
        self,
        channels: Positive,
        clusters: Positive = 50,
        dim: Positive = 128,
        dropout: Fraction = 0.2,
        shown: bool = False,
    ) -> None:
        super().__init__(clusters, dim, dropout)
        self.channels, self.clusters, self.shown = channels, clusters, shown
        self.spatial_channels = channels if shown else 0
        self.register_buffer("centers", torch.zeros(clusters, channels * SIDE**2))
        self.register_buffer("share", torch.zeros(clusters))

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    def embed(self, value: Tensor, dropped: Tensor, cond: Conditions) -> Conditioning:
        mixed = value.is_floating_point()
        told = self._mixed(value, dropped) if mixed else super().embed(value, dropped, cond)
        if not self.shown:
            return told
        means = value.to(self.centers) @ self.centers if mixed else self.centers[value]
        means = means.masked_fill(dropped[:, None], 0)
        return replace(told, spatial=means.view(-1, self.channels, SIDE, SIDE))

    def _mixed(self, weights: Tensor, dropped: Tensor) -> Conditioning:
        vectors, none = self.table.weight.split([self.clusters, 1])
        mean = weights.to(vectors) @ vectors
        return Conditioning(vector=torch.where(dropped[:, None], none, mean))

    def derive(self, image: Tensor, cond: Conditions) -> Spec:
        return cond if self.key in cond else {**cond, self.key: self.nearest(thumbnails(image))}

    def nearest(self, points: Tensor) -> Tensor:
        """The clusters (B,) of thumbnails (B, channels 8 8)."""
        return distances(points.to(self.centers), self.centers).argmin(1)

    def explain(self, observe: Observe, seen: Tensor, size: tuple[int, int]) -> Spec:
        given = seen.to(self.centers).flatten(1)
        thumbnails = self.centers.view(-1, self.channels, SIDE, SIDE)
        pictures = (F.interpolate(part, size=size, mode="bilinear") for part in thumbnails.split(AT_ONCE))
        return {self.key: torch.cat([distances(given, observe(part).flatten(1)) for part in pictures], 1).argmin(1)}

    def own(self, seeds: Sequence[int]) -> Spec:
        u = SeededNoise(seeds, PURPOSE).uniform(len(seeds))
        reached = self.share.cpu().double().cumsum(0)
        drawn = torch.searchsorted(reached, u * reached[-1], right=True)
        return {self.key: drawn.clamp(max=self.clusters - 1).to(self.device)}

    @torch.no_grad()
    def fit(self, images: Callable[[], Iterable[Tensor]]) -> None:
        """Finds the clusters, unless the conditioner brings those of another run, and the share of each.

        Raises:
            UserError: for fewer images than clusters.
        """
        points = torch.cat([thumbnails(batch).cpu() for batch in images()])
        if not self.centers.any():
            self.centers.copy_(means(points, self.clusters))
        counts = torch.bincount(self.nearest(points.to(self.device)).cpu(), minlength=self.clusters)
        self.share.copy_(counts / len(points))


def distances(points: Tensor, others: Tensor) -> Tensor:
    """(B, N), of points (B, D) and others (N, D)."""
    # Without products, which autocast would make in bf16, and mix up near clusters.
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def thumbnails(image: Tensor) -> Tensor:
    """Images (B, C, H, W) as averages over 8x8 fields, (B, C 8 8)."""
    return F.adaptive_avg_pool2d(image, SIDE).flatten(1)


def means(points: Tensor, clusters: int) -> Tensor:
    """The means (clusters, D) of k-means on points (N, D) (Lloyd 1982, begun as Arthur & Vassilvitskii 2007 do).

    Raises:
        UserError: for fewer points than clusters.
    """
    from sklearn.cluster import KMeans  # only where clusters are made: it takes a second

    if len(points) < clusters:
        raise UserError(
            f"model.conditioner.clusters={clusters} needs at least as many images, and there are {len(points)}"
        )
    found = KMeans(clusters, n_init="auto", random_state=0).fit(points.numpy())
    return torch.from_numpy(found.cluster_centers_)
