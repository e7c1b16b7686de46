"""Texts to tokens: a small encoder that is trained with the model, and large frozen ones by name.

An encoder works in two steps. `read` gives what never changes for a text, features and where they are tokens;
`forward` turns that into the tokens that a network sees, and is trained. The text '' stands for 'no text'.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from unnoise.errors import UserError
from unnoise.host import sent
from unnoise.networks.attention import Transformer
from unnoise.networks.embedding import circle, frequencies
from unnoise.networks.frozen_text import FROZEN, Embeddings, split_name
from unnoise.registry import suggest

BUCKETS = 4096
"""Rows of the trained encoder's table: enough that two words of a data set rarely have both in common."""
START = "\x02"
HEAD_WIDTH = 32
SPACE, MARK, WORD, SIGN = "space", "mark", "word", "sign"
JOINER = "\u200d"
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters."""


class TextEncoder(Protocol):
    """read: B texts -> features (B, L, ...) and mask (B, L), both constants; forward: those -> tokens (B, L, dim).
    too_long: how many of some texts are cut."""

    def read(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]: ...

    def __call__(self, features: Tensor, mask: Tensor) -> Tensor: ...

    def prepare(self, texts: Iterable[str], folder: Path) -> None: ...

    def too_long(self, texts: Iterable[str]) -> int: ...


class TrainedEncoder(nn.Module):
    """A transformer over words (or characters), trained from scratch with whatever uses it; it needs no vocabulary.

    Each piece of a text is the sum of two rows of one table, found by hashing the piece as it is and in lower case
    (hash embeddings, Svenstrup et al. 2017), so that 'Dog' and 'dog' are near and 'A' and 'a' are not the same.
    Texts begin with a start token and are cut at `length` tokens.
    """

    positions: Tensor

    def __init__(self, split: Callable[[str], list[str]], dim: int, length: int, depth: int = 2) -> None:
        super().__init__()
        self.split, self.length = split, length
        self.table = nn.Embedding(BUCKETS, dim)
        self.transformer = Transformer(dim, depth, heads=_heads(dim))
        self.register_buffer("positions", _positions(length, dim), persistent=False)

    def read(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Buckets (B, length, 2) int64 and mask (B, length)."""
        buckets = torch.zeros(len(texts), self.length, 2, dtype=torch.int64)
        mask = torch.zeros(len(texts), self.length, dtype=torch.bool)
        for row, text in enumerate(texts):
            pieces = [START, *self.split(text)][: self.length]
            buckets[row, : len(pieces)] = torch.tensor([hashed(piece) for piece in pieces])
            mask[row, : len(pieces)] = True
        return sent(buckets, device), sent(mask, device)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        return self.transformer(self.table(features).sum(2) + self.positions, mask)

    def prepare(self, texts: Iterable[str], folder: Path) -> None:
        """Nothing: reading a text costs nothing here."""

    def too_long(self, texts: Iterable[str]) -> int:
        """How many texts have more pieces than fit behind the start token."""
        return sum(len(self.split(text)) >= self.length for text in texts)


class FrozenEncoder(nn.Module):
    """A pretrained encoder, which is neither trained nor saved with the model, and a trained linear layer behind it.

    name: 'transformers:NAME' or 'sentence-transformers:NAME', with a hub's name or a folder. Embeddings are computed
    once per text and kept in half precision. Raises UserError where the library or the model cannot be loaded.
    """

    def __init__(self, name: str, dim: int, length: int) -> None:
        super().__init__()
        self._embeddings = Embeddings(name, length)
        self.project = nn.Linear(self._embeddings.width, dim)
        self.norm = nn.LayerNorm(dim)

    def read(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Embeddings (B, length, width) float16 and mask (B, length)."""
        features, mask = self._embeddings.of(texts, device)
        return sent(features, device), sent(mask, device)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        return self.norm(self.project(features.to(self.project.weight.dtype)))

    def prepare(self, texts: Iterable[str], folder: Path) -> None:
        """Embeds all texts of a set, once: they are kept in `folder`."""
        self._embeddings.prepare(texts, folder, self.norm.weight.device)

    def too_long(self, texts: Iterable[str]) -> int:
        """How many texts have more tokens than are kept."""
        return self._embeddings.too_long(texts, self.norm.weight.device)


@lru_cache(maxsize=100_000)
def hashed(piece: str) -> tuple[int, int]:
    """The two rows of the table for a piece of text: the same on every machine."""
    lower = f"{piece.casefold()}\x00lower"
    return zlib.crc32(piece.encode()) % BUCKETS, zlib.crc32(lower.encode()) % BUCKETS


def words(text: str) -> list[str]:
    """'a red A, twice' -> ['a', 'red', 'A', ',', 'twice'].

    Marks such as the vowels of Hindi stay with their letter. In scripts that are written without spaces between words
    (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character is a piece.
    """
    pieces: list[str] = []
    before = SPACE
    for character in text:
        kind = _kind(character)
        if pieces and ((kind == MARK and before != SPACE) or (kind == before == WORD)):
            pieces[-1] += character
        elif kind != SPACE:
            pieces.append(character)
        before = before if kind == MARK and before != SPACE else kind
    return pieces


def _kind(character: str) -> str:
    if character.isspace():
        return SPACE
    if character == JOINER or unicodedata.category(character).startswith("M"):
        return MARK
    if (character.isalnum() or character == "_") and not UNSPACED.match(character):
        return WORD
    return SIGN


SPLITS: dict[str, Callable[[str], list[str]]] = {"words": words, "characters": list}
"""The trained encoders, by what they take for a piece of text."""


def build_encoder(name: str, dim: int, length: int) -> TrainedEncoder | FrozenEncoder:
    """The encoder called 'words', 'characters', 'transformers:NAME' or 'sentence-transformers:NAME'.

    dim: width of the tokens; length: how many at most. Raises UserError for other names.
    """
    if name in SPLITS:
        return TrainedEncoder(SPLITS[name], dim, length)
    if split_name(name)[0] in FROZEN:
        return FrozenEncoder(name, dim, length)
    allowed = [*SPLITS, *(f"{library}:NAME" for library in FROZEN)]
    raise UserError(f"unknown text encoder {name!r}; {suggest(name, allowed)}")


def _positions(length: int, dim: int) -> Tensor:
    """The sinusoidal embedding of the positions 0, 1, ... (Vaswani et al. 2017): (length, dim)."""
    return circle(torch.arange(length)[:, None] * frequencies(dim), dim)


def _heads(dim: int) -> int:
    return max(heads for heads in range(1, max(1, dim // HEAD_WIDTH) + 1) if math.gcd(dim, heads) == heads)
