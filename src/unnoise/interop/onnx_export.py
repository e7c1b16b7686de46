"""A run as ONNX files."""

from __future__ import annotations

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
from unnoise.interop.torch_export import exported
from unnoise.runs.run import Run

OPSET = 20
"""The version of ONNX's operators that the files are written in."""
EXTRA = "--to onnx needs the extra: pip install 'unnoise[onnx]'"


def export_onnx(run: Run, out: Path, *, overwrite: bool = False, options: ExportOptions | None = None) -> Record:
    """Writes a folder of ONNX files with a free batch size: denoiser, sampler, encoder, decoder, as the run has them.

    Each has the metadata of unnoise.json beside it. See `export_graphs`.
    """
    return export_graphs(run, out, OnnxWriter(), options or ExportOptions(), overwrite=overwrite)


class OnnxWriter:
    """Writes graphs as ONNX files; UserError where onnxscript or onnxruntime are missing."""

    suffix = "onnx"

    def __init__(self) -> None:
        self.about: Record = {"opset": OPSET}
        try:
            import onnxruntime
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise UserError(EXTRA) from error
        self._runtime: Any = onnxruntime

    def write(self, graph: Graph, path: Path, metadata: Record) -> Written:
        program = torch.onnx.export(
            exported(graph),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,  # the runtimes do, in a fraction of the time
            verbose=False,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
        )
        assert program is not None
        _forget_sources(program.model)
        program.model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
        program.save(str(path))
        session = self._runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

        def call(inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
            found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
            return tuple(torch.from_numpy(value) for value in found)

        return Written(call)


def _forget_sources(model: Any) -> None:
    """Removes from every node where in the source it comes from: most of a small file, and paths of this machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
    for function in model.functions.values():
        for node in function.all_nodes():
            node.metadata_props.clear()
