"""A run as programs of torch.export."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unnoise.aliases import Record
from unnoise.errors import UserError
from unnoise.interop.graph_files import Written, export_graphs
from unnoise.interop.graphs import Graph
from unnoise.interop.options import ExportOptions
from unnoise.runs.run import Run

METADATA = "unnoise.json"
"""The name of what is said of a program, among the extra files of a .pt2."""


def export_torch(run: Run, out: Path, *, overwrite: bool = False, options: ExportOptions | None = None) -> Record:
    """Writes a folder of .pt2 files with a free batch size, which torch loads without unnoise: `torch.export.load`.

    See `export_graphs`.
    """
    return export_graphs(run, out, TorchWriter(), options or ExportOptions(), overwrite=overwrite)


class TorchWriter:
    """Writes graphs as programs of `torch.export`, which torch runs without unnoise."""

    suffix = "pt2"

    def __init__(self) -> None:
        self.about: Record = {"torch": torch.__version__}

    def write(self, graph: Graph, path: Path, metadata: Record) -> Written:
        torch.export.save(exported(graph), path, extra_files={METADATA: json.dumps(metadata)})
        program = torch.export.load(path).module()

        def call(inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
            found = program(*inputs.values())
            return (found,) if isinstance(found, Tensor) else tuple(found)

        return Written(call)


def exported(graph: Graph) -> Any:
    """The program of a graph, its batch size free.

    Raises:
        UserError: where this torch is too old for a loop in a graph.
    """
    try:
        from torch._higher_order_ops import scan  # noqa: F401
    except ImportError as error:
        raise UserError(f"exporting a sampler needs torch 2.7 or later; this is {torch.__version__}") from error
    batch = torch.export.Dim("batch", min=1)
    given = tuple(graph.inputs.values())
    arguments = inspect.signature(graph.module.forward).bind(*given).arguments
    shapes = {
        name: tuple({0: batch} for _ in value) if isinstance(value, tuple) else {0: batch}
        for name, value in arguments.items()
    }
    return torch.export.export(graph.module, given, dynamic_shapes=shapes, strict=False)
