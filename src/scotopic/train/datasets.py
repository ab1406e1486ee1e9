"""Clean pictures to learn from, held on the training device, and random crops of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scotopic.errors import DatasetError
from scotopic.train.simulate import srgb_to_linear

HDR_CEILING = 100.0
"""Light in HDR scenes is cut here, in units of display white: suns outshine any lamp by far."""


def is_held_out(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a file belongs to a series that training must not see; series share a name's beginning."""
    return name.startswith(prefixes)


def split(paths: list[Path], prefixes: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """The photos to learn from and those held out: the named series, else every tenth photo.

    Raises DatasetError when either would be empty.
    """
    held = [p for p in paths if is_held_out(p.name, prefixes)] or paths[::10]
    kept = [p for p in paths if p not in held]
    if not kept:
        raise DatasetError(
            f"of {len(paths)} photos {len(held)} are held out and none is left to learn from: give more "
            "photos, or other beginnings of names to hold out (the recipe's held_out)"
        )
    return kept, held


def find_photos(folder: Path) -> list[Path]:
    """All JPEG, PNG and EXR files below `folder`, sorted. Raises DatasetError when there are none."""
    wanted = {".jpg", ".jpeg", ".png", ".exr"}
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in wanted)
    if not found:
        raise DatasetError(
            f"no photos in {folder}: JPEG, PNG or EXR files are needed there, in any folders below"
        )
    return found


def load_photo(path: Path) -> Tensor:
    """One picture as (3, H, W): uint8 sRGB, or float16 linear for EXR (95th percentile at 1)."""
    if path.suffix.lower() == ".exr":
        import OpenEXR

        try:
            with OpenEXR.File(str(path)) as file:
                pixels = np.asarray(file.channels()["RGB"].pixels[..., :3], dtype=np.float32)
        except (RuntimeError, KeyError) as error:
            raise DatasetError(f"{path}: is no RGB EXR picture that can be read ({error})") from error
        level = np.percentile(pixels.mean(axis=2), 95)
        scene = np.clip(np.nan_to_num(pixels) / max(float(level), 1e-6), 0, HDR_CEILING)
        return torch.from_numpy(scene.astype(np.float16)).permute(2, 0, 1).contiguous()
    try:
        with Image.open(path) as image:
            array = np.array(image.convert("RGB"))
    except OSError as error:
        raise DatasetError(f"{path}: is no picture that can be read ({error})") from error
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


class CleanPhotos:
    """Random crops of clean pictures, shrunk by a random factor so that JPEG traces average out."""

    def __init__(
        self, paths: list[Path], crop: int, device: torch.device, generator: torch.Generator
    ) -> None:
        self.crop = crop
        self.device = device
        self.generator = generator
        loaded = [load_photo(p) for p in paths]
        self.photos = [p.to(device) for p in loaded if min(p.shape[1:]) >= crop + 16]
        if not self.photos:
            raise DatasetError(
                f"none of the {len(paths)} photos is larger than the crop of {crop} pixels: "
                "give larger photos or a smaller crop"
            )
        # Larger pictures are seen more often, and HDR scenes three times as often as photos.
        weights = [
            math.sqrt(p.shape[1] * p.shape[2]) * (3 if p.dtype == torch.float16 else 1) for p in self.photos
        ]
        self.weights = torch.tensor(weights)

    def _draw(self) -> float:
        return float(torch.rand((), generator=self.generator))

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """`size` crops (B, 3, crop, crop), linear sRGB, and which of them are HDR (B,)."""
        picks = torch.multinomial(self.weights, size, replacement=True, generator=self.generator)
        crops = []
        for index in picks.tolist():
            photo = self.photos[index]
            height, width = photo.shape[1:]
            most = min(2.5, (min(height, width) - 1) / self.crop)
            side = int(self.crop * math.exp(self._draw() * math.log(most)))
            top = int(self._draw() * (height - side))
            left = int(self._draw() * (width - side))
            piece = photo[:, top : top + side, left : left + side].float()
            linear = piece if photo.dtype == torch.float16 else srgb_to_linear(piece / 255)
            if side != self.crop:
                linear = F.interpolate(
                    linear[None], (self.crop, self.crop), mode="bilinear", antialias=True
                )[0]
            if self._draw() < 0.5:
                linear = linear.flip(2)
            if self._draw() < 0.5:
                linear = linear.flip(1)
            if self._draw() < 0.5:
                linear = linear.transpose(1, 2)
            crops.append(linear)
        hdr = torch.tensor([self.photos[i].dtype == torch.float16 for i in picks.tolist()])
        return torch.stack(crops), hdr.to(self.device)
