"""What unpacking one source may cost: one budget for npz, zip, tar and gz, so that a small file stays a small load."""

from __future__ import annotations

from dataclasses import dataclass

from unnoise.errors import UserError

MAX_MEMBER = 1 << 30  # bytes of one file or archive member; a longer one is refused before it is read
MAX_TOTAL = 1 << 38  # bytes of all members together
MAX_MEMBERS = 10_000_000
MAX_RATIO = 100  # unpacked to packed bytes, above FREE
FREE = 1 << 28  # bytes that may be unpacked whatever the ratio


@dataclass
class Budget:
    """Counts what a source unpacks to. packed: its bytes as they lie on disk. Raises UserError where it is spent."""

    source: str
    packed: int
    total: int = 0
    members: int = 0

    def spend(self, size: int, members: int = 1) -> None:
        """Takes `size` unpacked bytes of a number of members."""
        self.total += size
        self.members += members
        if self.members > MAX_MEMBERS:
            raise UserError(f"{self.source} has more than {MAX_MEMBERS:,} members")
        if self.total > self.limit:
            raise UserError(
                f"{self.source} ({self.packed:,} bytes) unpacks to {self.total:,} bytes or more, and the limit is "
                f"{self.limit:,}; unpack it yourself if you trust it"
            )

    @property
    def limit(self) -> int:
        """How many bytes it may unpack to."""
        return min(MAX_TOTAL, max(FREE, MAX_RATIO * self.packed))
