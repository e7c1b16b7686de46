"""Linear degradations A with adjoint, pseudo-inverse and the solve that posteriors need.

Each has a known singular value decomposition with simple factors, so nothing here iterates. Images x are (B, C, H, W);
observations y = A x have the shape that `forward` gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.errors import UserError


class Measurement(ABC):
    """What is seen of x: y = A(x), linear or not. Frozen and stateless; its tensors follow x's device and dtype."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """y = A(x)."""

    @abstractmethod
    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """An x that explains y, as near as one is known."""

    @abstractmethod
    def at(self, x: Tensor) -> tuple[Tensor, Operator]:
        """A(x), and the linear map that A is near x."""

    def count(self, y: Tensor) -> Tensor:
        """How many numbers of every row of y (B, *) were observed, (B,)."""
        return torch.full((len(y),), y[0].numel(), dtype=y.dtype, device=y.device)


class Operator(Measurement):
    """A linear map A of images."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y."""

    @abstractmethod
    def solve(self, y: Tensor, scale: float | Tensor = 1.0, ridge: float | Tensor = 0.0) -> Tensor:
        """(scale A A^T + ridge I)^+ y for y in the range of A; each a number or one per row, (B, 1, 1, 1)."""

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """A^+ y = A^T (A A^T)^+ y: the smallest image whose degradation is nearest to y (Moore & Penrose)."""
        return self.adjoint(self.solve(y))

    def at(self, x: Tensor) -> tuple[Tensor, Operator]:
        return self.forward(x), self


@dataclass(frozen=True, eq=False)
class Inpainting(Operator):
    """y = mask x: pixels are known or lost. mask: bool, True where known, (H, W), (1 or C, H, W) or (B, 1 or C, H, W).

    Observations have the images' shape and are 0 where nothing is known; A is a projection, A = A^T = A^+.
    Raises UserError for a mask of another type.
    """

    mask: Tensor

    def __post_init__(self) -> None:
        if self.mask.dtype != torch.bool:
            raise UserError(f"an inpainting mask is boolean, True where pixels are known; got {self.mask.dtype}")

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.mask.to(x.device), x, 0.0)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)

    def solve(self, y: Tensor, scale: float | Tensor = 1.0, ridge: float | Tensor = 0.0) -> Tensor:
        return self.forward(y) / (scale + ridge)

    def count(self, y: Tensor) -> Tensor:
        return self.mask.to(y.device).expand_as(y).flatten(1).sum(1).to(y.dtype)


@dataclass(frozen=True)
class Downsampling(Operator):
    """y = the means of factor x factor boxes. A A^T = I / factor^2, so A^+ repeats every pixel.

    Raises UserError for a factor below 1, and in `forward` for images that it does not divide.
    """

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise UserError(f"a downsampling factor is at least 1, got {self.factor}")

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.factor or x.shape[-2] % self.factor:
            raise UserError(f"images of {x.shape[-2]}x{x.shape[-1]} do not divide by the factor {self.factor}")
        return F.avg_pool2d(x, self.factor)

    def adjoint(self, y: Tensor) -> Tensor:
        repeated = y.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
        return repeated / self.factor**2

    def solve(self, y: Tensor, scale: float | Tensor = 1.0, ridge: float | Tensor = 0.0) -> Tensor:
        return y / (scale / self.factor**2 + ridge)


@dataclass(frozen=True)
class Grey(Operator):
    """y = sum_c weights_c x_c, one channel of three: its inverse problem is colourising.

    weights: by default the luma of ITU-R BT.601, which Pillow's mode L uses. A A^T = |weights|^2.
    """

    weights: tuple[float, ...] = (0.299, 0.587, 0.114)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != len(self.weights):
            raise UserError(f"greying takes images of {len(self.weights)} channels, got {x.shape[1]}")
        return (x * self._column(x)).sum(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self._column(y)

    def solve(self, y: Tensor, scale: float | Tensor = 1.0, ridge: float | Tensor = 0.0) -> Tensor:
        return y / (scale * sum(w**2 for w in self.weights) + ridge)

    def _column(self, like: Tensor) -> Tensor:
        return torch.tensor(self.weights, dtype=like.dtype, device=like.device).reshape(1, -1, 1, 1)


@dataclass(frozen=True)
class Blur(Operator):
    """y = x convolved with a Gaussian of standard deviation `std` pixels.

    border: 'periodic' (diagonal under the Fourier transform) or 'reflected' (the image mirrored at its edges, pixels at
    the edge doubled: diagonal under the cosine transform). Both make A symmetric.
    floor: responses below it count as 0, in A as in A^+, so that A^+ amplifies noise by at most 1 / floor and remains
    the exact pseudo-inverse (the threshold of Kawar et al. 2022, appendix).
    Raises UserError for std or floor out of range, and for other borders.
    """

    std: float
    border: str = "reflected"
    floor: float = 0.03

    def __post_init__(self) -> None:
        if not (self.std > 0 and 0 < self.floor < 1):
            raise UserError(f"a blur needs std > 0 and a floor in (0, 1), got {self.std} and {self.floor}")
        if self.border not in ("periodic", "reflected"):
            raise UserError(f"unknown border {self.border!r}; allowed: periodic, reflected")

    def forward(self, x: Tensor) -> Tensor:
        return self._filter(x, self._response(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)

    def solve(self, y: Tensor, scale: float | Tensor = 1.0, ridge: float | Tensor = 0.0) -> Tensor:
        response = self._response(y)
        gain = torch.where(response > 0, 1 / (scale * response**2 + ridge), 0.0)
        return self._filter(y, gain)

    def _filter(self, x: Tensor, gain: Tensor) -> Tensor:
        """x with every frequency multiplied by its real gain."""
        height, width = x.shape[-2:]
        if self.border == "reflected":
            x = torch.cat([x, x.flip(-1)], -1)
            x = torch.cat([x, x.flip(-2)], -2)
        filtered = torch.fft.irfft2(torch.fft.rfft2(x) * gain, s=x.shape[-2:])
        return filtered[..., :height, :width]

    def _response(self, x: Tensor) -> Tensor:
        """The kernel's Fourier transform, (1, 1, frequencies); 1 at frequency 0."""
        copies = 2 if self.border == "reflected" else 1
        rows, columns = (self._transfer(copies * size, x) for size in x.shape[-2:])
        response = rows[:, None] * columns[None, : len(columns) // 2 + 1]
        return torch.where(response >= self.floor, response, 0.0)[None, None]

    def _transfer(self, size: int, like: Tensor) -> Tensor:
        """That of the kernel along one axis, sampled at whole pixels and wrapped around `size` of them, (size,)."""
        offsets = torch.arange(size, dtype=torch.float64)
        offsets = torch.minimum(offsets, size - offsets)
        kernel = torch.exp(-(offsets**2) / (2 * self.std**2))
        return torch.fft.fft(kernel / kernel.sum()).real.to(like.device, like.dtype)


OPERATORS: dict[str, type[Operator]] = {
    "inpainting": Inpainting,
    "downsampling": Downsampling,
    "grey": Grey,
    "blur": Blur,
}
