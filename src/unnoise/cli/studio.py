"""unnoise studio."""

from __future__ import annotations

from pathlib import Path

from unnoise.cli.options import SomeWhole


def studio(
    folder: Path = Path("runs"),
    /,
    *,
    port: SomeWhole = None,
    no_browser: bool = False,
    host: str = "127.0.0.1",
    password: str | None = None,
    data: list[Path] | None = None,
) -> None:
    """Open a local page to train, watch, sample, edit and compare; prints its address.

    Stopping it loses nothing: all state is the run folders, and a training goes on.

    Args:
        folder: The folder of runs.
        port: By default 8600, or any that is free.
        no_browser: Print the address only.
        host: Where to listen; beyond this machine, --password is needed.
        password: Also opens the page, beside the token in the address.
        data: A folder of images or archives that may be picked for training; may be given several times.
    """
    from unnoise.studio.server import serve

    serve(folder, port=port, host=host, password=password, data=data or (), browser=not no_browser)
