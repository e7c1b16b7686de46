from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from unnoise.networks.conditioning import TextConditioner
from unnoise.networks.frozen_text import Embeddings, load_backend
from unnoise.networks.text import BUCKETS, build_encoder, hashed, words

CPU = torch.device("cpu")
WIDTH = 6


class FakeTransformer:
    """Stands for sentence-transformers: a word's embedding is WIDTH times its length; counts the texts it has seen."""

    seen: list[str]

    def __init__(self, name: str, device: str) -> None:
        if name != "there":
            raise OSError(f"no model called {name}\nand many lines more")
        self.seen = []

    def eval(self) -> FakeTransformer:
        return self

    def requires_grad_(self, on: bool) -> FakeTransformer:
        assert not on
        return self

    def to(self, device: Any) -> FakeTransformer:
        return self

    def encode(self, texts: list[str], **options: Any) -> list[Tensor]:
        self.seen += texts
        return [torch.tensor([[float(len(word))] * WIDTH for word in ["", *text.split()]]) for text in texts]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The fake library in the real one's place; gives the texts that are embedded."""
    texts: list[str] = []

    def make(name: str, device: str) -> FakeTransformer:
        made = FakeTransformer(name, device)
        made.seen = texts
        return made

    module = ModuleType("sentence_transformers")
    module.__dict__["SentenceTransformer"] = make
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    load_backend.cache_clear()
    load_backend("sentence-transformers:there")
    texts.clear()  # the one that told the width
    yield texts
    load_backend.cache_clear()


def tokens_of(conditioner: TextConditioner, texts: list[str]) -> tuple[Tensor, Tensor]:
    given = conditioner.eval()({"caption": texts}, len(texts))
    assert given.tokens is not None
    assert given.token_mask is not None
    return given.tokens, given.token_mask


def test_words_and_marks_are_pieces() -> None:
    assert words("a red A, twice!") == ["a", "red", "A", ",", "twice", "!"]
    assert words("  ") == []


def test_hashes_are_the_same_everywhere_and_know_case() -> None:
    assert hashed("dog") == (2429, 2116)
    assert hashed("Dog")[1] == hashed("dog")[1]
    assert hashed("Dog")[0] != hashed("dog")[0]
    pairs = {hashed(str(number)) for number in range(3000)}
    assert len(pairs) == 3000
    assert all(0 <= row < BUCKETS for pair in pairs for row in pair)


@pytest.mark.parametrize(("encoder", "count"), [("words", 4), ("characters", 8)])
def test_a_text_has_a_start_and_its_pieces(encoder: str, count: int) -> None:
    _, mask = tokens_of(TextConditioner(encoder, dim=8, length=12), ["a red A", "", "x" * 100])
    assert mask[0].sum() == count
    assert mask[1].sum() == 1
    assert mask[2].sum() == min(12, 2 if encoder == "words" else 101)


def test_order_and_case_are_heard() -> None:
    torch.manual_seed(0)
    conditioner = TextConditioner(dim=16, length=12).eval()
    vectors = conditioner({"caption": ["red on blue", "blue on red", "Red on blue"]}, 3).vector
    assert vectors is not None
    assert torch.pdist(vectors).min() > 1e-3


def test_a_text_does_not_depend_on_its_batch_mates() -> None:
    torch.manual_seed(0)
    conditioner = TextConditioner(dim=16, length=12).eval()
    together, _ = tokens_of(conditioner, ["one", "a much longer text than that"])
    alone, _ = tokens_of(conditioner, ["one"])
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-6)


def test_what_lies_behind_the_end_of_a_text_does_not_matter() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("words", 16, 8).eval()
    features, mask = encoder.read(["a b c"], CPU)
    before = encoder(features, mask)
    behind = torch.where(mask[..., None], features, 1234)
    torch.testing.assert_close(encoder(behind, mask)[mask], before[mask])
    assert not torch.equal(behind, features)


def test_any_width_has_heads() -> None:
    for dim in (8, 48, 112, 130):
        assert build_encoder("words", dim, 4).eval()(*build_encoder("words", dim, 4).read(["a"], CPU)).shape[2] == dim


def test_a_frozen_encoder_is_neither_trained_nor_saved(library: list[str]) -> None:
    conditioner = TextConditioner("sentence-transformers:there", dim=8, length=5)
    assert {name.split(".")[0] for name in conditioner.state_dict()} == {"text", "pool"}
    assert conditioner.text.get_parameter("project.weight").shape == (8, WIDTH)
    _, mask = tokens_of(conditioner, ["one two", "", "a b c d e f"])
    assert mask.sum(1).tolist() == [3, 1, 5]


def test_a_text_is_embedded_once(library: list[str]) -> None:
    conditioner = TextConditioner("sentence-transformers:there", dim=8)
    for _ in range(3):
        tokens_of(conditioner, ["one two", "three", "one two"])
    assert sorted(library) == ["", "one two", "three"]


def test_embeddings_of_a_set_are_kept_on_disk(library: list[str], tmp_path: Path) -> None:
    texts = ["one two", "three", "one two"]
    first = Embeddings("sentence-transformers:there", 4)
    first.prepare(texts, tmp_path / "cache", CPU)
    assert library == ["", "one two", "three"]
    second = Embeddings("sentence-transformers:there", 4)
    second.prepare(texts, tmp_path / "cache", CPU)
    for one, two in zip(first.of(texts, CPU), second.of(texts, CPU), strict=True):
        assert torch.equal(one, two)
    assert library == ["", "one two", "three"]
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".bin"]
    second.prepare([*texts, "four"], tmp_path / "cache", CPU)
    assert library == ["", "one two", "three", "four"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("word", "did you mean 'words'"),
        ("sentence-transformers", "lacks a model"),
        ("sentence-transformers:gone", "cannot be loaded: no model called gone$"),
    ],
)
def test_bad_names_are_told(library: list[str], name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextConditioner(name)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    load_backend.cache_clear()
    with pytest.raises(ValueError, match=r"needs transformers: pip install 'unnoise\[text\]'"):
        TextConditioner("transformers:any")


SENTENCES = {
    "a red A, twice": ["a", "red", "A", ",", "twice"],
    "snake_case 3.5": ["snake_case", "3", ".", "5"],
    "\u7ea2\u8272\u7684\u732b": ["\u7ea2", "\u8272", "\u7684", "\u732b"],
    "\u0932\u093e\u0932 \u0932\u0940": ["\u0932\u093e\u0932", "\u0932\u0940"],
    "cafe\u0301": ["cafe\u0301"],
    "": [],
    "  \u0301x": ["\u0301", "x"],
}


@pytest.mark.parametrize("text", SENTENCES)
def test_words_of_all_scripts(text: str) -> None:
    assert words(text) == SENTENCES[text]


def test_one_text_in_two_unicode_forms_has_one_meaning() -> None:
    torch.manual_seed(0)
    conditioner = TextConditioner(dim=8).eval()
    composed, decomposed = (conditioner({"caption": [text]}, 1).vector for text in ("caf\u00e9", "cafe\u0301"))
    assert torch.equal(composed, decomposed)  # type: ignore[arg-type]


def test_captions_that_are_cut_are_counted() -> None:
    conditioner = TextConditioner(dim=8, length=4)
    cond = {"caption": ["one two three", "one two three four", "", "a b c d e"]}
    assert conditioner.notes(cond) == (
        "2 captions have more than the 4 tokens of model.conditioner.length, and are cut",
    )
    assert conditioner.notes({"caption": ["one two three"]}) == ()


def test_frozen_encoders_count_what_they_cut(library: list[str]) -> None:
    conditioner = TextConditioner("sentence-transformers:there", dim=8, length=3)
    assert "1 captions" in conditioner.notes({"caption": ["a b", "a b c"]})[0]
