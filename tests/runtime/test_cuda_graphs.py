"""A captured network is the network: the same answers, whatever is recorded, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from unnoise.models.diffusion import Diffusion
from unnoise.networks import UNet
from unnoise.networks.conditioning import Conditioning
from unnoise.process.parametrization import Eps
from unnoise.process.schedule import LinearBetas
from unnoise.runtime.cuda_graphs import COMPILE_PAYS_FROM, Captured, captured, compiles, rerun
from unnoise.samplers import DDIM
from unnoise.sampling.batches import counted_calls


@dataclass
class Recorder:
    """Repeats calls, as a CUDA graph would: with the inputs' and the output's own memory. Notes how many rows."""

    rows: list[int] = field(default_factory=list)

    def __call__(self, call: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        again, output = rerun(call)
        self.rows.append(len(output))
        return again, output


def network() -> UNet:
    torch.manual_seed(0)
    made = UNet(1, 1, (8, 8), channels=8, multipliers=(1, 2), blocks=1, vector_dim=4, spatial_channels=2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return made.eval()


def inputs(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 1, 8, 8, generator=draws), 1000 * torch.rand(rows, generator=draws)


def conditionings(rows: int) -> list[Conditioning | None]:
    draws = torch.Generator().manual_seed(1)
    vector, spatial = torch.randn(rows, 4, generator=draws), torch.randn(rows, 2, 8, 8, generator=draws)
    return [None, Conditioning(vector), Conditioning(vector, spatial=spatial), Conditioning(spatial=spatial)]


@torch.no_grad()
def test_answers_as_the_network_for_every_conditioning_and_fewer_rows() -> None:
    """The second pass repeats what the first recorded, with other inputs; 3 rows use the recording of 5."""
    plain, recorder = network(), Recorder()
    recording = Captured(plain.forward, recorder)
    for seed, rows in enumerate((5, 5, 3)):
        for conditioning in conditionings(rows):
            x, level = inputs(rows, seed)
            torch.testing.assert_close(recording(x, level, conditioning), plain(x, level, conditioning))
    assert recorder.rows == [5] * 4


@torch.no_grad()
def test_more_rows_are_recorded_anew() -> None:
    plain, recorder = network(), Recorder()
    recording = Captured(plain.forward, recorder)
    for rows in (2, 4, 3):
        torch.testing.assert_close(recording(*inputs(rows)), plain(*inputs(rows)))
    assert recorder.rows == [2, 4]


@torch.no_grad()
def test_an_answer_outlives_the_next_call() -> None:
    plain = network()
    recording = Captured(plain.forward, Recorder())
    first = recording(*inputs(2, 0))
    kept = first.clone()
    recording(*inputs(2, 1))
    assert torch.equal(first, kept)


def test_calls_for_gradients_are_not_recorded() -> None:
    plain, recorder = network(), Recorder()
    x, level = inputs(2)
    x.requires_grad_()
    Captured(plain.forward, recorder)(x, level).sum().backward()
    assert x.grad is not None
    assert recorder.rows == []


def diffusion(inner: nn.Module | None = None) -> Diffusion:
    return Diffusion(inner or network(), LinearBetas(100), Eps(), shape=(1, 8, 8)).eval()


def test_hooks_count_every_call_and_the_network_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile stands aside; the static shapes around it, which a CPU and a GPU share, are tested."""
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: forward)
    model = diffusion()
    plain = model.sample(range(3), sampler=DDIM(steps=4))
    with model.captured(compile=True), counted_calls(model) as calls:
        assert isinstance(model.network.forward, Captured)
        together = model.sample(range(3), sampler=DDIM(steps=4))
        alone = model.sample([1], sampler=DDIM(steps=4))
    assert calls == [8]
    assert torch.equal(together, plain)
    torch.testing.assert_close(alone[0], plain[1], rtol=0, atol=1e-5)
    assert "forward" not in vars(model.network)


def test_what_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("no compiler\nmore")

    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: fail)
    model = diffusion()
    with model.captured(compile=True), pytest.warns(UserWarning, match="cannot be compiled.*no compiler$"):
        drawn = model.sample(range(2), sampler=DDIM(steps=4))
    assert torch.equal(drawn, model.sample(range(2), sampler=DDIM(steps=4)))


def test_without_a_gpu_and_a_compiler_nothing_changes() -> None:
    model = diffusion()
    with captured(model.network, torch.device("cpu")):
        assert "forward" not in vars(model.network)


def test_a_wrong_call_raises_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: forward)
    model = diffusion()
    with model.captured(compile=True), torch.no_grad(), pytest.raises(ValueError, match="spatial conditioning has 3"):
        model.network(*inputs(2), Conditioning(spatial=torch.zeros(2, 3, 8, 8)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("bf16", [False, True])
def test_on_a_gpu_graphs_give_the_same_images_and_nothing_waits(bf16: bool) -> None:
    """The second run replays the first one's graph, for fewer rows, while torch forbids to wait for the device."""
    model, sampler = diffusion().to("cuda"), DDIM(steps=20)
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
        plain = sampler.run(model.guided(), model.prior(range(5)))
        with model.captured():
            assert "forward" in vars(model.network)
            together = sampler.run(model.guided(), model.prior(range(5)))
            x_T = model.prior([1, 2])
            torch.cuda.set_sync_debug_mode("error")
            try:
                fewer = sampler.run(model.guided(), x_T)
            finally:
                torch.cuda.set_sync_debug_mode("default")
    allowed = 2e-2 if bf16 else 1e-4
    torch.testing.assert_close(together, plain, rtol=0, atol=allowed)
    torch.testing.assert_close(fewer, plain[1:3], rtol=0, atol=allowed)


@pytest.mark.parametrize(
    ("device", "choice", "calls", "expected"),
    [
        ("cpu", "auto", 10**9, False),
        ("cpu", "on", 1, True),
        ("cuda", "auto", COMPILE_PAYS_FROM - 1, False),
        ("cuda", "auto", COMPILE_PAYS_FROM, True),
        ("cuda", "off", 10**9, False),
    ],
)
def test_compiling_is_chosen_by_device_and_work(device: str, choice: str, calls: int, expected: bool) -> None:
    assert compiles(device, choice, calls) == expected


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="on"):
        compiles("cpu", "onn", 1)
