"""What a studio is started with, and the folders it may read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe

STATE = ".studio"
"""The folder beside the runs that holds uploads, results, logs and the queue."""


@dataclass(frozen=True)
class Settings:
    """folder: of the runs. data: folders of images that may be picked. token: opens the page; password: also does,
    and is needed to listen on other addresses than loopback."""

    folder: Path
    data: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    password: str | None = None
    token: str = field(default_factory=lambda: token_urlsafe(24))

    @property
    def state(self) -> Path:
        return self.folder / STATE

    @property
    def uploads(self) -> Path:
        return self.state / "uploads"

    @property
    def pictures(self) -> Path:
        return self.state / "pictures"

    @property
    def vectors(self) -> Path:
        return self.state / "vectors"

    @property
    def results(self) -> Path:
        return self.state / "results"

    @property
    def cookie(self) -> str:
        """Cookies do not tell ports apart, so their names do."""
        return f"unnoise-{self.port}"
