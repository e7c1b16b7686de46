"""The processes that work on one task together: one alone, or those that torchrun started.

Every process holds the whole model and computes some rows of each batch. Gradients are averaged by torch's
DistributedDataParallel, which sends them while the backward pass is still under way. It wraps the loss of a phase, not
the network: objectives call their networks several times, in parts, or with the weights of others frozen, and the
gradients of all that arrive at the same parameters once. Decisions travel between the hosts (gloo), so that asking for
one never waits for a GPU.
"""

from __future__ import annotations

import atexit
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unnoise.errors import ProcessLost, UserError
from unnoise.progress import leave_to_first
from unnoise.runtime.launch import started_by_torchrun

T = TypeVar("T")
Loss = TypeVar("Loss", bound=Callable[..., Any])

PATIENCE = timedelta(hours=2)
"""How long a process waits for another that is alive, such as the first, which packs the data set."""


class World:
    """One process alone: nothing to exchange. rank: of this process among `size`; local_rank: on its machine."""

    rank, size, local_rank, local_size = 0, 1, 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def device(self, asked: str | None) -> str | None:
        """The device of this process, for the one that was asked for."""
        return asked

    def agree(self, *values: int) -> tuple[int, ...]:
        """The largest of each value over the processes. The first decides alone where the others give 0."""
        return values

    def sum(self, x: Tensor) -> Tensor:
        """The sum over the processes, of which gradients of any order can be taken."""
        return x

    def gather(self, value: T) -> list[T]:
        """What every process has, in their order."""
        return [value]

    def broadcast(self, value: T) -> T:
        """What the first process has."""
        return value

    def portion(self, count: int, batch: int = 1) -> slice:
        """This process's part of `count` rows in whole batches, so that any number of processes has the same batches:
        what a GPU or a CPU computes for a row may differ in the last bit with the rows beside it."""
        batches = -(-count // batch)
        start, stop = (batches * edge // self.size * batch for edge in (self.rank, self.rank + 1))
        return slice(start, min(stop, count))

    def barrier(self) -> None:
        """Waits until all processes are here."""

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Within, the other processes start when the first is done: what it leaves on the disk they find there, and
        what it refuses they never see."""
        yield

    def replicated(self, parameters: Sequence[nn.Parameter], loss: Loss, trial: Callable[[], Tensor]) -> Loss:
        """The loss, so that its backward pass leaves the mean gradient of all processes in the parameters.

        Args:
            parameters: which learn by it; they become those of the first process.
            loss: any function of a part of a batch.
            trial: some value of the loss, to find out whether it uses all parameters.
        """
        return loss

    def keeping_gradients(self, loss: Callable[..., Any]) -> AbstractContextManager[None]:
        """Within, gradients of a replicated loss add up in each process: what is exchanged comes later."""
        return nullcontext()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within, an error that comes from the end of another process is raised as ProcessLost."""
        yield


class Ranks(World):
    """Several processes, which `torch.distributed` connects. Made by `join`."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))

    def device(self, asked: str | None) -> str | None:
        """'cuda' is the card of the process's local rank.

        Raises:
            UserError: for a card by its number, for fewer cards than processes, and for MPS.
        """
        if asked == "cpu" or (asked is None and not torch.cuda.is_available()):
            return "cpu"
        if asked not in (None, "cuda"):
            raise UserError(f"{self.size} processes cannot share device {asked!r}: leave it out, each takes a GPU")
        if self.local_size > torch.cuda.device_count():
            raise UserError(
                f"{self.local_size} processes on {socket.gethostname()}, which has {torch.cuda.device_count()} GPUs: "
                "start one for each GPU, or choose --device cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return "cuda"

    def agree(self, *values: int) -> tuple[int, ...]:
        agreed = torch.tensor(values, dtype=torch.int64)
        with self.watched():
            dist.all_reduce(agreed, dist.ReduceOp.MAX)
        return tuple(agreed.tolist())

    def sum(self, x: Tensor) -> Tensor:
        return cast(Tensor, _Sum.apply(x))

    def gather(self, value: T) -> list[T]:
        gathered: list[Any] = [None] * self.size
        with self.watched():
            dist.all_gather_object(gathered, value)
        return gathered

    def broadcast(self, value: T) -> T:
        held = [value]
        with self.watched():
            dist.broadcast_object_list(held, device=torch.device("cpu"))
        return held[0]

    def barrier(self) -> None:
        self.agree(0)

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        if not self.is_first:
            self.barrier()
        yield
        if self.is_first:
            self.barrier()

    def replicated(self, parameters: Sequence[nn.Parameter], loss: Loss, trial: Callable[[], Tensor]) -> Loss:
        # Of the strides of 1x1 kernels, which mean nothing.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        trial().backward()
        (unused,) = self.agree(int(any(parameter.grad is None for parameter in parameters)))
        for parameter in parameters:
            parameter.grad = None
        replica = DistributedDataParallel(
            _Module(parameters, loss),
            find_unused_parameters=bool(unused),
            gradient_as_bucket_view=True,
        )
        return cast(Loss, replica)

    def keeping_gradients(self, loss: Callable[..., Any]) -> AbstractContextManager[None]:
        return loss.no_sync() if isinstance(loss, DistributedDataParallel) else nullcontext()

    @contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            atexit.unregister(dist.destroy_process_group)  # it would wait for the one that has ended
            raise ProcessLost(
                f"process {self.rank} of {self.size} lost the connection to another, which has ended; the same command "
                "goes on from the last checkpoint"
            ) from error


class _Sum(torch.autograd.Function):
    """y = sum of x over the processes, on each of them; so is the gradient of x that of y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return cast(Tensor, _Sum.apply(gradients[0]))


class _Module(nn.Module):
    """A loss as a module with the parameters that learn by it."""

    def __init__(self, parameters: Sequence[nn.Parameter], loss: Callable[..., Any]) -> None:
        super().__init__()
        self.learning, self.loss = nn.ParameterList(parameters), loss

    def forward(self, *arguments: Any) -> Any:
        return self.loss(*arguments)


ALONE = World()


def join() -> World:
    """The processes that work together: those that torchrun started with this one, else this one alone."""
    return _ranks() if started_by_torchrun() else ALONE


@cache
def _ranks() -> Ranks:
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    if dist.get_rank() > 0:
        leave_to_first()
    return Ranks()
