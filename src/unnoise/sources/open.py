"""From whatever the user names to a packed set: the one table of what is recognised, and by what."""

from __future__ import annotations

import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from unnoise.aliases import Source
from unnoise.data.cache import cache_folder, cached
from unnoise.data.images import Images
from unnoise.data.pack import Files, some
from unnoise.data.settings import Settings
from unnoise.errors import NoSplit, UserError
from unnoise.io.picture_reader import WHITE
from unnoise.io.tree import Tree, Walk, folder_tree, is_run_folder
from unnoise.progress import notice
from unnoise.registry import Table, suggest
from unnoise.sources.archive import tar_tree, zip_tree
from unnoise.sources.arrays import Arrays, read_npy, standard
from unnoise.sources.cifar import is_cifar, read_cifar
from unnoise.sources.digits import read_digits
from unnoise.sources.download import PUBLIC, locate
from unnoise.sources.folder import list_images
from unnoise.sources.formats import EXTENSIONS
from unnoise.sources.glyphs import parse_glyphs
from unnoise.sources.idx import is_idx_file, is_idx_tree, label_name, read_idx_file, read_idx_tree
from unnoise.sources.npz import is_npz, read_npz

if TYPE_CHECKING:
    from torch import Tensor


class Content(Protocol):
    """What a reader finds: files or arrays that can be packed."""

    def pack(self, source: str, settings: Settings, work: Path, shown: bool) -> Images:
        """The packed set; `work` is an empty folder that becomes the cache's entry."""
        ...


@dataclass(frozen=True)
class Origin:
    """key: what tells this source's content from any other, without reading it. read: reads it, given a folder. notes:
    what the user should know about the choice."""

    key: list[Any]
    read: Callable[[Path], Content]
    notes: tuple[str, ...] = ()


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
) -> Images:
    """Opens a set of images, packed once and memory-mapped afterwards.

    Args:
        source: a folder, zip or tar of images; .npz, .npy; IDX files; CIFAR-10's binary batches; a built-in name
            (digits, glyphs, glyphs:64, glyphs:size=64,n=20000, mnist, fashion-mnist, cifar10), with `builtin:` before
            it where a file or folder has the same name; a uint8 array or tensor (N, H, W[, C]) or (N, C, H, W); or
            Images, which are returned as they are.
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
    origin = _origin(source, settings, folder, progress)
    key = [origin.key, astuple(settings)]
    images = cached(key, folder, lambda work: origin.read(work).pack(str(source), settings, work, progress))
    images = replace(images, source=str(source), notes=(*origin.notes, *images.notes))
    _report(images, strict, progress)
    return images


def _open_array(source: Source, settings: Settings) -> Images:
    torch = sys.modules.get("torch")
    is_tensor = torch is not None and isinstance(source, torch.Tensor)
    array = source.detach().cpu().numpy() if is_tensor else source
    if not isinstance(array, np.ndarray):
        raise UserError(f"a source is a path, a name, an array or Images; got {type(source).__name__}")
    if settings.split != "train":
        raise NoSplit("an array has no split of its own, so no 'test'; open it with split='train'")
    return Arrays(standard(array, "the array", not is_tensor, settings.levels)).pack("array", settings, None, False)


def _report(images: Images, strict: bool, shown: bool) -> None:
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
    path = Path(source).expanduser()
    if _is_data(source, path):
        return str(path.resolve())
    return f"{EXPLICIT}{_built_in_name(source)}"


def stem(source: str | Path) -> str:
    """A source, as a part of a file's name."""
    named = str(source).removeprefix(EXPLICIT).replace(":", "-")
    return Path(named).name.split(".")[0] or "source"


def _origin(source: str | Path, settings: Settings, cache: Path, shown: bool) -> Origin:
    path = Path(source).expanduser()
    if not _is_data(source, path):
        name, _, options = _built_in_name(source).partition(":")
        return BUILT_IN[name](options, settings, cache, shown)
    origin = _path_origin(path.resolve(), settings)
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


def _path_origin(path: Path, settings: Settings) -> Origin:
    if path.is_dir():
        stamps = [[name, *_stamp(entry)] for name, entry in Walk(path)]
        return Origin([str(path), stamps], lambda work: read_tree(folder_tree(path), settings))
    if not path.is_file():
        raise UserError(f"{path} is neither a folder nor a regular file")
    partner = path.with_name(label_name(path.name))
    stamps = [_stamp(file) for file in (path, partner) if file.exists()]
    return Origin([str(path), stamps], lambda work: _read_file(path, settings, work))


def _stamp(file: Any) -> list[int]:
    """Changes whenever the file's bytes do; the change time shows even a write that restores the modification time."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def read_tree(tree: Tree, settings: Settings) -> Content:
    """What a folder or an archive holds: IDX files, CIFAR-10's batches, or else images."""
    for recognised, read in TREES:
        if recognised(tree):
            return read(tree, settings)
    return Files(list_images(tree, settings.split))


def _read_file(path: Path, settings: Settings, work: Path) -> Content:
    for recognised, read in FILES:
        if recognised(path):
            return read(path, settings, work)
    if path.suffix.lower() in EXTENSIONS:
        raise UserError(f"{path} is a single file; give the folder that holds the images")
    raise UserError(f"{path} is none of: zip, tar, npz, npy, IDX images")


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _read_zip(path: Path, settings: Settings, work: Path) -> Content:
    return read_tree(zip_tree(path), settings)


def _read_tar(path: Path, settings: Settings, work: Path) -> Content:
    return read_tree(tar_tree(path, work), settings)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, ValueError, zlib.error, LZMAError):  # what its decompressors raise on damage
        return False


def _digits(options: str, settings: Settings, cache: Path, shown: bool) -> Origin:
    if options:
        raise UserError(f"digits takes no options; got {options!r}")
    return Origin(["digits"], lambda work: read_digits(settings.split))


def _glyphs(options: str, settings: Settings, cache: Path, shown: bool) -> Origin:
    import matplotlib
    import PIL

    glyphs = parse_glyphs(options)
    if settings.size is not None:
        glyphs = replace(glyphs, size=settings.size)  # drawn at the wanted size, not resized
    drawn_by = [PIL.__version__, matplotlib.__version__]
    return Origin(["glyphs", repr(glyphs), drawn_by], lambda work: glyphs.read(settings.split, shown))


def _public(name: str, options: str, settings: Settings, cache: Path, shown: bool) -> Origin:
    if options:
        raise UserError(f"{name} takes no options; got {options!r}")
    origin, classes = _path_origin(locate(name, cache, shown).resolve(), settings), PUBLIC[name].classes
    return Origin([name, origin.key], lambda work: _named(origin.read(work), classes))


def _named(content: Content, classes: tuple[str, ...]) -> Content:
    return replace(content, classes=classes) if classes and isinstance(content, Arrays) else content


EXPLICIT = "builtin:"
"""Before a name that means the built-in set even where a file or folder is called so."""


def _plugged(name: str, make: Callable[[str, Path], Path]) -> Opener:
    """A source of another package: a function of what stands behind the colon and a cache folder, which gives the
    path of a folder or a file of images."""

    def opened(options: str, settings: Settings, cache: Path, shown: bool) -> Origin:
        origin = _path_origin(Path(make(options, cache)).resolve(), settings)
        return Origin([name, options, origin.key], origin.read)

    return opened


Opener = Callable[[str, Settings, Path, bool], Origin]
BUILT_IN: Table[Opener] = Table(
    "unnoise.sources",
    {"digits": _digits, "glyphs": _glyphs, **{name: partial(_public, name) for name in PUBLIC}},
    _plugged,
)
TREES: tuple[tuple[Callable[[Tree], bool], Callable[[Tree, Settings], Content]], ...] = (
    (is_idx_tree, read_idx_tree),
    (is_cifar, read_cifar),
)
FILES: tuple[tuple[Callable[[Path], bool], Callable[[Path, Settings, Path], Content]], ...] = (
    (_is_npy, read_npy),
    (is_npz, read_npz),
    (zipfile.is_zipfile, _read_zip),
    (is_idx_file, read_idx_file),
    (_is_tar, _read_tar),
)
