"""What a training would take on other devices: figures that were counted, that were measured here, and estimates."""

from __future__ import annotations

from dataclasses import dataclass

from unnoise.progress import duration

GB = 1e9


@dataclass(frozen=True)
class Estimate:
    """A training on `count` devices.

    Args:
        count, device, precision: such as 8, 'H100', 'bf16'.
        peak_tflops: of one device, by its data sheet.
        device_memory: bytes of one device.
        parameters: counted.
        forward_flops: of an image, forward; counted.
        training_flops: of an image, forward and backward of all phases; counted.
        operations: of torch in a step of one device; counted.
        launching: whether starting so many takes longer than computing; estimated.
        weights_memory: bytes on each device of weights, gradients, Adam's moments and the average; counted.
        activation_memory: bytes on each device, of the images that it computes at once; measured with one image here.
        images_at_once: on each device.
        parts: passes in which a device computes its part of a batch; estimated by its memory.
        exchanged: bytes of gradients that a device sends in each step; counted.
        fraction: of the peak that is assumed.
        images_per_second, seconds: of all devices, and of the steps that are left; estimated.
    """

    count: int
    device: str
    precision: str
    peak_tflops: float
    device_memory: float
    parameters: int
    forward_flops: float
    training_flops: float
    operations: int
    weights_memory: float
    activation_memory: float
    images_at_once: int
    parts: int
    exchanged: float
    fraction: float
    launching: bool
    images_per_second: float
    seconds: float
    estimates: tuple[str, ...] = ("parts", "launching", "fraction", "images_per_second", "seconds")
    measured_here: tuple[str, ...] = ("activation_memory",)

    def lines(self) -> list[str]:
        """For people."""
        needed = (self.weights_memory + self.activation_memory) / GB
        limit = "starting the operations takes longest" if self.launching else f"{self.fraction:.0%} of the peak"
        parts = f", in {self.parts} passes" if self.parts > 1 else ""
        return [
            f"on      {self.count} x {self.device}, {self.device_memory / GB:.0f} GB and {self.peak_tflops:g} TFLOP/s "
            f"{self.precision} each by the data sheet",
            f"compute {self.forward_flops / 1e9:.2f} GFLOP per image forward, "
            f"{self.training_flops / 1e9:.2f} to train on it, {self.operations:,} operations a step (counted)",
            f"memory  {needed:.1f} GB per device: {self.weights_memory / GB:.1f} weights, gradients, moments and "
            f"average of {self.parameters / 1e6:.1f} M parameters (counted), {self.activation_memory / GB:.1f} "
            f"activations of {self.images_at_once} images{parts} (measured with one image here)",
            f"sends   {self.exchanged / GB:.2f} GB of gradients per device and step (counted)",
            f"speed   {self.images_per_second:,.0f} images/s (estimate: {limit})",
            f"hours   {self.seconds / 3600:.1f}, {duration(self.seconds)} (estimate)",
        ]
