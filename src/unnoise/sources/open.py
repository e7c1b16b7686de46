"""From whatever the user names to a packed set: the one table of what is recognised, and by what."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unnoise.aliases import Source
from unnoise.data.buckets import AnyImages
from unnoise.data.cache import cache_folder, cached, entry_folder
from unnoise.data.images import Images
from unnoise.data.pack import some
from unnoise.data.room import fits
from unnoise.data.settings import Settings
from unnoise.errors import NoSplit, UserError
from unnoise.io.geometry import NATIVE_SIDE
from unnoise.io.picture_reader import WHITE
from unnoise.io.tree import is_run_folder
from unnoise.progress import notice
from unnoise.registry import Table, suggest
from unnoise.sources.arrays import Arrays, standard
from unnoise.sources.digits import read_digits
from unnoise.sources.download import PUBLIC, locate
from unnoise.sources.glyphs import parse_glyphs
from unnoise.sources.hub_dataset import downloaded, is_hub_dataset
from unnoise.sources.paths import Content, Opening, Origin, path_origin, pattern_origin
from unnoise.sources.shard_set import is_pattern

if TYPE_CHECKING:
    from torch import Tensor


def open_source(
    source: str | Path | np.ndarray | Tensor | Images,
    *,
    split: str = "train",
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    strict: bool = False,
    cache: str | Path | None = None,
    progress: bool = True,
    limit: int | None = None,
    max_pixels: int | None = None,
    background: str = WHITE,
    levels: tuple[float, float] | None = None,
    stream: bool | None = False,
) -> Images:
    """Opens a set of images, packed once and memory-mapped afterwards.

    Args:
        source: a folder, zip or tar of images; tar shards (a folder of them, or 'shards-{000..099}.tar'); parquet or
            Arrow files (a folder of them, or hf://datasets/OWNER/NAME); .npz, .npy; IDX files; CIFAR-10's binary
            batches; a built-in name (digits, glyphs, glyphs:64, glyphs:size=64,n=20000, mnist, fashion-mnist, cifar10),
            with `builtin:` before it where a file or folder has the same name; a uint8 array or tensor (N, H, W[, C])
            or (N, C, H, W); or Images, which are returned as they are.
        split: 'train' or 'test'; sources without a split of their own have 'train' alone.
        size: None (see `geometry.plan_size`), the shorter side, or (height, width).
        channels: None (1 when every image is grey, otherwise 3), 1, 3 or 4.
        strict: refuse a set with files that cannot be read, instead of leaving them out.
        cache: the cache folder.
        progress: whether to show progress and notes on standard error.
        limit: at most so many images, drawn over the whole set.
        max_pixels: of one picture; None for 89 million.
        background: the colour below transparent pixels.
        levels: (low, high) fractions of the full range that become black and white.
        stream: decode pictures when they are asked for instead of packing them; None: where the packed set would fill
            the disk.

    Raises:
        NoSplit: where the source has no such split.
        UserError: for what cannot be opened.
    """
    if isinstance(source, Images):
        return source
    settings = Settings(split, size, channels, limit, max_pixels, background, levels)
    if not isinstance(source, (str, Path)):
        return _open_array(source, settings)
    folder = cache_folder(cache)
    origin = origin_of(source, Opening(settings, folder, progress))
    key = [origin.key, astuple(settings)]
    if stream or (stream is None and not entry_folder(key, folder).is_dir() and _too_large(origin, settings, folder)):
        images = origin.read(None).stream(str(source), origin.content, settings)
    else:
        images = cached(key, folder, lambda work: origin.read(work).pack(str(source), settings, work, progress))
    images = replace(images, source=str(source), notes=(*origin.notes, *images.notes))
    report(images, strict, progress)
    return images


def _too_large(origin: Origin, settings: Settings, cache: Path) -> bool:
    """Whether a set that can be streamed is likely to take more of the disk than a packed set may."""
    if origin.count is None:
        return False
    size = settings.size
    area = size[0] * size[1] if isinstance(size, tuple) else LIKELY_ASPECT * (size or NATIVE_SIDE) ** 2
    return not fits(cache, round(min(origin.count(), settings.limit or sys.maxsize) * area * (settings.channels or 3)))


def _open_array(source: Source, settings: Settings) -> Images:
    torch = sys.modules.get("torch")
    is_tensor = torch is not None and isinstance(source, torch.Tensor)
    array = source.detach().cpu().numpy() if is_tensor else source
    if not isinstance(array, np.ndarray):
        raise UserError(f"a source is a path, a name, an array or Images; got {type(source).__name__}")
    if settings.split != "train":
        raise NoSplit("an array has no split of its own, so no 'test'; open it with split='train'")
    return Arrays(standard(array, "the array", not is_tensor, settings.levels)).pack("array", settings, None, False)


def report(images: AnyImages, strict: bool, shown: bool) -> None:
    """Says what was left out of a set, and its notes, where they are shown; refuses broken files where `strict`."""
    if images.broken and strict:
        raise UserError(f"{images.source} has {len(images.broken)} unusable files: {some(images.broken)}")
    if shown and images.broken:
        notice(f"{images.source}: left out {len(images.broken)}: {some(images.broken)}")
    for note in images.notes if shown else ():
        notice(f"{images.source}: {note}")


def resolved(source: str | Path) -> str:
    """What a source means, in words that mean the same everywhere: the absolute path of a file or folder, or
    `builtin:NAME`.

    Raises:
        UserError: where it is neither.
    """
    if is_hub_dataset(source):
        return str(source)
    path = Path(source).expanduser()
    if _is_data(source, path) or is_pattern(source):
        return str(path.resolve())
    return f"{EXPLICIT}{_built_in_name(source)}"


def stem(source: str | Path) -> str:
    """A source, as a part of a file's name."""
    named = str(source).removeprefix(EXPLICIT).replace(":", "-")
    return Path(named).name.split(".")[0] or "source"


def origin_of(source: str | Path, opening: Opening) -> Origin:
    """Where the content of a source comes from. Raises UserError for what there is not."""
    path = Path(source).expanduser()
    if not _is_data(source, path):
        if is_hub_dataset(source):
            return path_origin(downloaded(str(source)).resolve(), opening)
        if is_pattern(source):
            return pattern_origin(str(path.resolve()), opening)
        name, _, options = _built_in_name(source).partition(":")
        return BUILT_IN[name](options, opening)
    origin = path_origin(path.resolve(), opening)
    if str(source) not in BUILT_IN:
        return origin
    note = f"taken for {path.resolve()}, which goes before the built-in set; that one is {EXPLICIT}{source}"
    return replace(origin, notes=(note,))


def _is_data(source: str | Path, path: Path) -> bool:
    """Whether something lies at the path that may be data; a run of unnoise is none."""
    return not str(source).startswith(EXPLICIT) and _exists(path) and not is_run_folder(path)


def _built_in_name(source: str | Path) -> str:
    """The name, with its options, of a built-in set."""
    named = str(source).removeprefix(EXPLICIT)
    if isinstance(source, str) and named.partition(":")[0] in BUILT_IN:
        return named
    path = Path(source).expanduser()
    if _exists(path) and is_run_folder(path):
        raise UserError(f"{source} is a run of unnoise and no data; give the images that you mean")
    near = suggest(named.partition(":")[0], BUILT_IN)
    raise UserError(f"there is no file or folder {str(source)!r}, nor a built-in set; {near}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def _digits(options: str, opening: Opening) -> Origin:
    if options:
        raise UserError(f"digits takes no options; got {options!r}")
    return Origin(["digits"], lambda work: read_digits(opening.settings.split))


def _glyphs(options: str, opening: Opening) -> Origin:
    import matplotlib
    import PIL

    glyphs = parse_glyphs(options)
    settings = opening.settings
    if settings.size is not None:
        glyphs = replace(glyphs, size=settings.size)  # drawn at the wanted size, not resized
    drawn_by = [PIL.__version__, matplotlib.__version__]
    return Origin(["glyphs", repr(glyphs), drawn_by], lambda work: glyphs.read(settings.split, opening.shown))


def _public(name: str, options: str, opening: Opening) -> Origin:
    if options:
        raise UserError(f"{name} takes no options; got {options!r}")
    origin = path_origin(locate(name, opening.cache, opening.shown).resolve(), opening)
    classes = PUBLIC[name].classes
    return Origin([name, origin.key], lambda work: _named(origin.read(work), classes))


def _named(content: Content, classes: tuple[str, ...]) -> Content:
    return replace(content, classes=classes) if classes and isinstance(content, Arrays) else content


LIKELY_ASPECT = 2  # at most, of most pictures: the longer side over the shorter
EXPLICIT = "builtin:"
"""Before a name that means the built-in set even where a file or folder is called so."""


def _plugged(name: str, make: Callable[[str, Path], Path]) -> Opener:
    """A source of another package: a function of what stands behind the colon and a cache folder, which gives the
    path of a folder or a file of images."""

    def opened(options: str, opening: Opening) -> Origin:
        origin = path_origin(Path(make(options, opening.cache)).resolve(), opening)
        return Origin([name, options, origin.key], origin.read)

    return opened


Opener = Callable[[str, Opening], Origin]
BUILT_IN: Table[Opener] = Table(
    "unnoise.sources",
    {"digits": _digits, "glyphs": _glyphs, **{name: partial(_public, name) for name in PUBLIC}},
    _plugged,
)
