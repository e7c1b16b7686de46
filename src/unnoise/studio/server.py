"""`unnoise studio`: chooses a port, prints the address, serves."""

from __future__ import annotations

import ipaddress
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unnoise.errors import UserError
from unnoise.studio.settings import Settings

if TYPE_CHECKING:
    import uvicorn

USUAL = 8600
"""The port, where it is free."""


def serve(
    folder: Path,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    password: str | None = None,
    data: Sequence[Path] = (),
    browser: bool = True,
) -> None:
    """Serves the page until it is interrupted; prints its address, with the token, on standard output.

    Raises:
        UserError: for a host beyond this machine without a password, a port in use, and a missing extra.
    """
    if not _loopback(host) and not password:
        raise UserError(f"--host {host} lets other machines in: add --password, or leave --host out")
    listener = _listen(host, port)
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(folder.resolve(), _folders(data), host, listener.getsockname()[1], password)
    server = _server(settings)
    address = f"http://{_shown(host)}:{settings.port}/?token={settings.token}"
    print(address, flush=True)
    if browser:
        webbrowser.open(address)
    server.run(sockets=[listener])


def _server(settings: Settings) -> uvicorn.Server:
    try:
        import uvicorn

        from unnoise.studio.app import create_app
    except ImportError as error:
        raise UserError(f"the studio needs an extra: pip install 'unnoise[studio]' ({error})") from error
    config = uvicorn.Config(
        create_app(settings), log_level="warning", access_log=False, timeout_graceful_shutdown=2, server_header=False
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket at the port; where none was asked for, at the usual one or else any free one."""
    wanted, reason = (USUAL, 0) if port is None else (port,), ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen()  # a browser that is quicker than the server waits
        except (OSError, OverflowError) as error:
            listener.close()
            reason = getattr(error, "strerror", None) or str(error)
            continue
        return listener
    raise UserError(f"cannot listen on {host}, port {port}: {reason}; choose another --port, or leave it out")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str) -> str:
    return {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, f"[{host}]" if ":" in host else host)


def _folders(data: Sequence[Path]) -> tuple[Path, ...]:
    """Resolved; UserError for one that is none, and for two of one name, which the page could not tell apart."""
    found = tuple(folder.resolve() for folder in data)
    for folder in found:
        if not folder.is_dir():
            raise UserError(f"--data {folder} is no folder")
    if len({folder.name for folder in found}) < len(found):
        raise UserError("two of the --data folders have the same name")
    return found
