"""The Python face: names, types, pictures."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import unnoise


def test_names_for_editors_are_those_that_are_imported_on_first_use() -> None:
    tree = ast.parse(Path(unnoise.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == unnoise._HOMES
    assert all(getattr(unnoise, name) is not None for name in typed)
    assert (Path(unnoise.__file__).parent / "py.typed").is_file()


def test_show_makes_a_picture_of_images() -> None:
    assert unnoise.show(torch.zeros(4, 1, 8, 8)).size == unnoise.show(np.zeros((4, 1, 8, 8), np.uint8)).size
    assert unnoise.show(torch.zeros(3, 64, 64)).size == (68, 68)
    with pytest.raises(ValueError, match="show takes images"):
        unnoise.show(torch.zeros(8, 8))
