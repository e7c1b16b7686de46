"""A network's calls while sampling: as a CUDA graph, which is one launch instead of hundreds, or compiled.

A small network's kernels are shorter than their launches, so a GPU waits for Python. A graph holds the launches of one
call, and the loop around it never waits for the device: the GPU is given step after step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from unnoise.errors import UserError
from unnoise.networks.conditioning import Conditioning
from unnoise.registry import suggest

Choice = Literal["auto", "on", "off"]
COMPILE: tuple[str, ...] = get_args(Choice)
COMPILE_PAYS_FROM = 20_000
"""Network calls on a GPU: a minute of compiling, against at most a third of calls of some 10 ms. An estimate."""
SAME = 1e-2
"""Of the greatest value: what kernels that add in another order may make of bf16."""
WARM_UP = 2
"""Calls before a recording, in which libraries choose their kernels and take their workspaces."""

Forward = Callable[[Tensor, Tensor, Conditioning | None], Tensor]
Recorded = tuple[Callable[[], object], Tensor]
"""What repeats a call, and the tensor that holds its answer afterwards."""


def compiles(device: str | torch.device, choice: str, calls: int) -> bool:
    """Whether so many calls of one network are worth torch.compile. choice: 'auto', 'on' or 'off'.

    Measured on a CPU with AMX, U-Nets of 0.9 and 6.5 M parameters at 32x32, 40 to 60 seconds of compiling: at batch 1
    1.05 to 1.2 times as fast, at 16 and 64 0.9 to 1.02 times. So 'auto' never compiles there.
    Raises UserError for another word.
    """
    if choice not in COMPILE:
        raise UserError(f"unknown compile {choice!r}; {suggest(choice, COMPILE)}")
    return choice == "on" or (choice == "auto" and torch.device(device).type == "cuda" and calls >= COMPILE_PAYS_FROM)


@contextmanager
def captured(network: nn.Module, device: torch.device, *, compile: bool = False) -> Iterator[None]:
    """While it lasts, the network's calls without gradients replay CUDA graphs on a GPU; elsewhere nothing changes.

    The network's hooks see every call. Its weights must stay as they are. compile: with torch.compile, on any device.
    What cannot be compiled or recorded runs as it is, with a warning. Within another `captured` it does nothing.
    """
    on_gpu = device.type == "cuda"
    if "forward" in vars(network) or not (compile or on_gpu):
        yield
        return
    network.forward = _capturing(network.forward, device, compile)
    try:
        with _kept_casts() if on_gpu else nullcontext():
            yield
    finally:
        del network.forward
        if on_gpu:
            torch.cuda.synchronize(device)  # what the graphs work in is given back with them


def _capturing(forward: Forward, device: torch.device, compile: bool) -> Forward:
    if compile:
        forward = _or_plainly(torch.compile(forward, dynamic=False), forward, "compiled")
    if device.type != "cuda":
        return Captured(forward, rerun)
    return _or_plainly(Captured(forward, _CudaRecorder(device)), forward, "recorded as a CUDA graph")


def _kept_casts() -> AbstractContextManager[None]:
    """Autocast as it is. The bf16 copies of weights that a graph reads live until the outermost autocast ends."""
    dtype, enabled = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
    return torch.autocast("cuda", dtype=dtype, enabled=enabled)  # type: ignore[return-value]


def rerun(call: Callable[[], Tensor]) -> Recorded:
    """No recording: it calls again, with shapes that stay the same, so that nothing is compiled twice."""
    output = call().clone()
    return lambda: output.copy_(call()), output


class Captured:
    """A forward, recorded at its first call of a kind and repeated at every other.

    A kind is which inputs there are, with their dtypes and their shapes but for the rows. A call of fewer rows than
    recorded, such as the last of several batches, uses some of the recorded rows; one of more is recorded anew.
    """

    def __init__(self, forward: Forward, record: Callable[[Callable[[], Tensor]], Recorded]) -> None:
        self._forward, self._record = forward, record
        self._recordings: dict[tuple[object, ...], _Recording] = {}

    def __call__(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        if torch.is_grad_enabled():
            return self._forward(x, noise_level, conditioning)
        given = [x, noise_level, *_tensors(conditioning)]
        shapes = (None if value is None else (value.dtype, value.shape[1:]) for value in given)
        kind = (conditioning is None, torch.is_autocast_enabled(x.device.type), *shapes)
        recording = self._recordings.get(kind)
        if recording is None or recording.rows < len(x):
            recording = self._recordings[kind] = self._recorded(given, conditioning is None)
        return recording.repeat(given)

    def _recorded(self, given: list[Tensor | None], plain: bool) -> _Recording:
        inputs = [None if value is None else value.clone(memory_format=torch.contiguous_format) for value in given]
        x, noise_level, *parts = inputs
        assert x is not None
        assert noise_level is not None
        conditioning = None if plain else Conditioning(*parts)
        again, output = self._record(lambda: self._forward(x, noise_level, conditioning))
        return _Recording(inputs, again, output)


@dataclass(frozen=True)
class _Recording:
    """inputs: where the recorded call reads; output: where it writes."""

    inputs: list[Tensor | None]
    again: Callable[[], object]
    output: Tensor

    @property
    def rows(self) -> int:
        return len(self.output)

    def repeat(self, given: list[Tensor | None]) -> Tensor:
        for recorded, value in zip(self.inputs, given, strict=True):
            if recorded is not None and value is not None:
                recorded[: len(value)].copy_(value)
        self.again()
        assert given[0] is not None
        return self.output[: len(given[0])].clone()


class _CudaRecorder:
    """Records a call as a CUDA graph. The graphs share a pool of memory: they never run at the same time, and whoever
    called copies the answer before the next."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.pool = device, torch.cuda.graph_pool_handle()

    def __call__(self, call: Callable[[], Tensor]) -> Recorded:
        with torch.cuda.device(self.device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    call()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                output = call()
            graph.replay()
            _check(output, call())
        return graph.replay, output


def _check(replayed: Tensor, expected: Tensor) -> None:
    """A graph that missed something, such as work on another stream, answers differently: better no graph."""
    if (replayed - expected).abs().max() > SAME * expected.abs().max():
        raise RuntimeError("the recording answers differently")


def _tensors(conditioning: Conditioning | None) -> list[Tensor | None]:
    return [getattr(conditioning, field.name, None) for field in fields(Conditioning)]


def _or_plainly(better: Forward, plain: Forward, how: str) -> Forward:
    """`better`, until it fails once."""
    chosen = better

    def forward(x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        nonlocal chosen
        if chosen is plain:
            return plain(x, noise_level, conditioning)
        try:
            return chosen(x, noise_level, conditioning)
        except Exception as error:
            chosen = plain
            answer = plain(x, noise_level, conditioning)  # what is wrong with the call itself is raised here
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            warnings.warn(f"the network cannot be {how}, going on without: {reason}", stacklevel=2)
            return answer

    return forward
