"""What may be trained on: built-in sets, the data folders the studio was given, and uploads."""

from __future__ import annotations

from pathlib import Path

from unnoise.aliases import Record
from unnoise.sources.open import BUILT_IN, EXPLICIT
from unnoise.studio.paths import NotFound, inside
from unnoise.studio.settings import Settings
from unnoise.studio.uploads import ARCHIVES

UPLOADS = "uploads"
SHOWN = 500


def list_sources(settings: Settings) -> list[Record]:
    """Names that `resolve` takes, with what they are."""
    built_in = [{"source": name, "kind": "built-in"} for name in BUILT_IN]
    uploaded = [{"source": f"{UPLOADS}/{name}", "kind": "upload"} for name in _names(settings.uploads)]
    given = [
        {"source": f"{folder.name}/{name}", "kind": "folder"} for folder in settings.data for name in _names(folder)
    ]
    whole = [{"source": folder.name, "kind": "folder"} for folder in settings.data]
    return [*built_in, *uploaded, *whole, *given]


def resolve(settings: Settings, name: str) -> str:
    """What the command line takes for a name: a built-in one, or the path of an upload or in a data folder.

    Raises:
        NotFound: for anything else.
    """
    first, _, rest = name.partition("/")
    if name.partition(":")[0] in BUILT_IN:
        return f"{EXPLICIT}{name}"
    roots = {UPLOADS: settings.uploads, **{folder.name: folder for folder in settings.data}}
    if first not in roots:
        raise NotFound(
            f"there is no source {name[:80]!r}: built-in ones are {', '.join(BUILT_IN)}; others are uploaded"
        )
    found = inside(roots[first], rest) if rest else roots[first].resolve()
    return str(_single_file(found) or found)


def _single_file(folder: Path) -> Path | None:
    """The archive of a folder that holds nothing else, as an upload of one does."""
    files = list(folder.iterdir())[:2] if folder.is_dir() else []
    return files[0] if len(files) == 1 and files[0].name.lower().endswith(ARCHIVES) else None


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))[:SHOWN]
