"""Networks that take images of any height and width."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class AnySize(Protocol):
    """A network whose weights do not depend on the sides of its images. multiple: what sides are padded to a multiple
    of inside, so that multiples of it cost nothing."""

    @property
    def multiple(self) -> int: ...
