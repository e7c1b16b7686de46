"""Pretrained text encoders of other libraries, and a store of their embeddings."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.files import read_tensors, write_tensors

BATCH = 64
TEXT_TOWERS = {"clip": "CLIPTextModel", "t5": "T5EncoderModel", "siglip": "SiglipTextModel"}
"""Model types of transformers whose plain class is more than a text encoder."""

Encode = Callable[[list[str], torch.device], list[Tensor]]
"""(texts, device) -> per text its tokens' embeddings (L, width)."""


@dataclass(frozen=True)
class Backend:
    """A pretrained encoder. width: of its embeddings."""

    width: int
    encode: Encode


class Embeddings:
    """Texts to embeddings of at most `length` tokens, each text computed once per process.

    Not a module: the pretrained weights belong to no run and are loaded when the first unknown text comes.
    """

    def __init__(self, name: str, length: int) -> None:
        self.name, self.length = name, length
        self._known: dict[str, Tensor] = {}
        self._cut: set[str] = set()

    @property
    def width(self) -> int:
        return load_backend(self.name).width

    def of(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """(B, length, width) float16 and mask (B, length), on the CPU; new texts are embedded on `device`."""
        self._learn(texts, device)
        features = torch.zeros(len(texts), self.length, self.width, dtype=torch.float16)
        mask = torch.zeros(len(texts), self.length, dtype=torch.bool)
        for row, text in enumerate(texts):
            known = self._known[text]
            features[row, : len(known)], mask[row, : len(known)] = known, True
        return features, mask

    def prepare(self, texts: Iterable[str], folder: Path, device: torch.device) -> None:
        """Reads the embeddings of a set of texts from `folder`, or computes them and writes them there."""
        ordered = sorted({"", *texts})
        digest = hashlib.sha256(json.dumps([self.name, self.length, ordered]).encode()).hexdigest()[:32]
        file = folder / f"text-{digest}.bin"
        stored = read_tensors(file)
        if stored is None:
            self._learn(ordered, device)
            known = [self._known[text] for text in ordered]
            lengths = torch.tensor([len(tokens) for tokens in known])
            stored = {"tokens": torch.cat(known), "lengths": lengths}
            write_tensors(file, stored)
        parts = stored["tokens"].split(stored["lengths"].tolist())
        self._known.update(zip(ordered, parts, strict=True))

    def too_long(self, texts: Iterable[str], device: torch.device) -> int:
        """How many of the texts have more than `length` tokens, of those that were embedded in this process."""
        given = list(texts)
        self._learn(given, device)
        return sum(text in self._cut for text in given)

    def _learn(self, texts: Iterable[str], device: torch.device) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            for text, tokens in zip(part, load_backend(self.name).encode(part, device), strict=True):
                self._known[text] = tokens[: self.length].to("cpu", torch.float16)
                if len(tokens) > self.length:
                    self._cut.add(text)


def split_name(name: str) -> tuple[str, str]:
    """'transformers:openai/clip-vit-base-patch32' -> ('transformers', 'openai/clip-vit-base-patch32')."""
    library, _, model = name.partition(":")
    return library, model


@lru_cache(maxsize=2)
def load_backend(name: str) -> Backend:
    """The pretrained encoder; UserError says what is missing."""
    library, model = split_name(name)
    if not model:
        raise UserError(f"text encoder {name!r} lacks a model: {library}:NAME, a hub's name or a folder")
    try:
        encode = FROZEN[library](importlib.import_module(library.replace("-", "_")), model)
    except ImportError as error:
        raise UserError(f"text encoder {name!r} needs {library}: pip install 'unnoise[text]' ({error})") from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"text encoder {name!r} cannot be loaded: {reason}") from None
    return Backend(encode(["a"], torch.device("cpu"))[0].shape[1], encode)


def _transformers(library: Any, name: str) -> Encode:
    config = library.AutoConfig.from_pretrained(name)
    tokenizer = library.AutoTokenizer.from_pretrained(name)
    kind = getattr(library, TEXT_TOWERS.get(config.model_type, "AutoModel"))
    model = kind.from_pretrained(name).eval().requires_grad_(False)

    @torch.no_grad()
    def encode(texts: list[str], device: torch.device) -> list[Tensor]:
        inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(device)
        hidden = model.to(device)(**inputs).last_hidden_state
        return [row[mask.bool()] for row, mask in zip(hidden, inputs["attention_mask"], strict=True)]

    return encode


def _sentence_transformers(library: Any, name: str) -> Encode:
    model = library.SentenceTransformer(name, device="cpu").eval().requires_grad_(False)

    @torch.no_grad()
    def encode(texts: list[str], device: torch.device) -> list[Tensor]:
        return model.to(device).encode(
            texts, output_value="token_embeddings", device=str(device), show_progress_bar=False
        )

    return encode


FROZEN: dict[str, Callable[[Any, str], Encode]] = {
    "transformers": _transformers,
    "sentence-transformers": _sentence_transformers,
}
"""The libraries with pretrained text encoders, as they stand before the ':' of an encoder's name."""
