"""What our network is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scotopic.errors import SettingsError
from scotopic.train.ranges import check_range

CHANNELS_MAX, BLOCKS_MAX = 2048, 64
"""The paper's widest layer has 512 channels; beyond this no graphics card holds the network."""


@dataclass(frozen=True)
class Architecture:
    """The sizes that define a network; stored in the card and the checkpoint.

    Channels at the resolution of the packed places, at a half and at a quarter of it; `bottom_blocks`
    residual blocks stand at the last. `inner` are the channels inside the residual blocks in the order of the
    way through (encode_middle, the bottom's, decode_middle, decode_fine), where they are not those around them:
    a pruned network needs few (resize.py). `fine_encoder` are those inside one more block at the finest level on
    the way in; 0 for none. `head` is the side of the last convolution's filters, in packed places.
    """

    fine: int = 48
    middle: int = 64
    coarse: int = 128
    bottom_blocks: int = 2
    inner: tuple[int, ...] = ()
    fine_encoder: int = 0
    head: int = 3

    def __post_init__(self) -> None:
        for name in ("fine", "middle", "coarse"):
            check_range(name, getattr(self, name), 1, CHANNELS_MAX)
        check_range("bottom_blocks", self.bottom_blocks, 1, BLOCKS_MAX)
        check_range("fine_encoder", self.fine_encoder, 0, CHANNELS_MAX)
        if self.head not in (1, 3):
            raise SettingsError(f"head {self.head} must be 1 or 3")
        if self.inner and (len(self.inner) != self.bottom_blocks + 3 or min(self.inner) < 1):
            raise SettingsError(
                f"inner {list(self.inner)} must be empty or {self.bottom_blocks + 3} numbers of at least 1"
            )
        check_range("inner", max(self.inner, default=1), 1, CHANNELS_MAX)

    @property
    def inside(self) -> tuple[int, ...]:
        """The channels inside the residual blocks, in the order of `inner`."""
        bottom = (self.coarse,) * self.bottom_blocks
        return self.inner or (self.middle, *bottom, self.middle, self.fine)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Architecture:
        """Rebuild from `asdict`, or from JSON; unknown keys are an error (TypeError)."""
        return cls(**{**values, "inner": tuple(values.get("inner", ()))})

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return asdict(self)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity, with `inner` channels between them."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same."""
        added: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return added


class ConvolutionInParts(nn.Conv2d):
    """One convolution whose channels are given in parts, each calculated by itself: ONNX Runtime then adds to a part
    what is added to it afterwards in the same pass."""

    def __init__(self, channels: int, parts: tuple[int, ...], side: int) -> None:
        super().__init__(channels, sum(parts), side, padding=side // 2)
        self.parts = list(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """(B, channels, H, W) to a tensor (B, part, H, W) for each part."""
        assert self.bias is not None
        layers = zip(torch.split(self.weight, self.parts), torch.split(self.bias, self.parts), strict=True)
        return tuple(F.conv2d(x, w, b, padding=self.padding) for w, b in layers)


MEAN_SCALES = (1, 2, 4, 8)
"""Sides of the squares of local means, in packed places."""


def shared(means: list[Tensor], scores: Tensor) -> Tensor:
    """The means at one resolution mixed by the softmax of the scores: (B, 3, h, w).

    Without the transposes that ORT's own softmax brings.
    """
    shares = (scores - scores.amax(1, keepdim=True)).exp()
    weighed = shares[:, :1] * means[0]
    for i in range(1, len(means)):
        weighed = weighed + shares[:, i : i + 1] * means[i]
    return weighed * (1 / shares.sum(1, keepdim=True))


def enlarge(x: Tensor, scale: int) -> Tensor:
    """Bilinear."""
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def core(packed: Tensor) -> Tensor:
    """Without the margin of one packed place."""
    return packed[:, :, 1:-1, 1:-1]


def times_plus(x: Tensor, factor: Tensor, term: Tensor) -> Tensor:
    """`x` (B, C, h, w) times a factor, plus a term, both (B or 1, C or 1, 1, 1)."""
    if torch.onnx.is_in_onnx_export():
        return times_plus_in_one(x, factor, term)
    return x * factor + term


def times_plus_in_one(x: Tensor, factor: Tensor, term: Tensor) -> Tensor:
    """`times_plus` of a single picture (1, C, h, w), by the one operation that does both in a pass in ONNX Runtime."""
    channels = x.shape[1]
    none, one = torch.zeros(channels, device=x.device), torch.ones(channels, device=x.device)
    by_channel = torch.ones(channels, device=x.device)
    return F.batch_norm(
        x, none, one, factor.flatten() * by_channel, term.flatten() * by_channel, False, 0.0, 0.0
    )


def cut(x: Tensor, places: Tensor | None) -> Tensor:
    """Without so many rows at the top, columns at the left, rows at the bottom and columns at the right, (4,); None for
    none."""
    if places is None:
        return x
    top, left, bottom, right = places.unbind()
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def replicate(x: Tensor) -> Tensor:
    """One pixel more on each side. By hand, since torch.compile trips over its own padding's backward."""
    tall = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
    return torch.cat([tall[..., :1], tall, tall[..., -1:]], dim=3)
