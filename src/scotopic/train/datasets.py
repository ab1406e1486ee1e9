"""What training learns from: clean pictures, held on the training device, and real pairs, cached on disk.

A batch depends on its size and the generator given alone, so that a run can be repeated and resumed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scotopic.colour import camera_to_srgb
from scotopic.data.pairs import Pair, Split, few, raise_all
from scotopic.data.photos import load_srgb
from scotopic.disk.files import is_of_photos
from scotopic.enhance import Plan, graph_inputs
from scotopic.errors import DatasetError, ReadError
from scotopic.exposure import Exposure
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.identify import RAW_SUFFIXES
from scotopic.noise import NoiseEstimate
from scotopic.read import read_mosaic
from scotopic.run import GraphInputs
from scotopic.sensor.pattern import BAYER, Pattern, pattern_of
from scotopic.train.augment import Turn, drawn, laid, places, turns_of
from scotopic.train.cache import Entry, PairCache
from scotopic.train.simulate import Batch, srgb_to_linear

HDR_CEILING = 100.0
"""Light of HDR scenes, in units of display white, at which they are cut: suns outshine any lamp by far."""

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".exr"})


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
    """All JPEG, PNG, EXR and RAW files below `folder`, hidden ones apart, sorted. Raises DatasetError when there are
    none.

    Where a RAW file lies beside a picture of the same name, the picture is left out: it shows the same.
    """
    found = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in PICTURES | RAW_SUFFIXES
        and is_of_photos(*p.relative_to(folder).parts)
        and p.is_file()
    )
    raws = {p.with_suffix("") for p in found if p.suffix.lower() in RAW_SUFFIXES}
    photos = [p for p in found if p.suffix.lower() in RAW_SUFFIXES or p.with_suffix("") not in raws]
    if not photos:
        raise DatasetError(
            f"no photos in {folder}: JPEG, PNG, EXR or RAW files are needed there, in any folders below"
        )
    return photos


def load_photo(path: Path) -> Tensor:
    """One picture as (3, H, W): uint8 sRGB, or float16 linear sRGB for EXR and RAW (95th percentile at 1).

    Raises DatasetError for a file that is no such picture.
    """
    if path.suffix.lower() == ".exr":
        import OpenEXR

        try:
            with OpenEXR.File(str(path)) as file:
                channels = file.channels()
                colours = channels["RGBA" if "RGBA" in channels else "RGB"]
                pixels = np.asarray(colours.pixels[..., :3], dtype=np.float32)
        except (RuntimeError, KeyError, ValueError) as error:
            # ValueError where the file ends before its pixels.
            raise DatasetError(f"{path}: is no RGB EXR picture that can be read ({error})") from error
        return _scene(pixels, path)
    if path.suffix.lower() in RAW_SUFFIXES:
        try:
            return _scene(daylight(read_mosaic(path)), path)
        except (ReadError, OSError) as error:
            raise DatasetError(f"{path}: is no RAW photo to learn from ({error})") from error
    return torch.from_numpy(load_srgb(path)).permute(2, 0, 1).contiguous()


def load_photos(paths: Sequence[Path]) -> list[Tensor]:
    """All pictures by `load_photo`. Raises one DatasetError that names all that cannot be used.

    They are held in memory, 3 bytes a pixel, 6 of an EXR, so one is raised too for more than the machine can hold.
    """
    _check_memory(paths)
    loaded, bad = [], []
    for path in paths:
        try:
            loaded.append(load_photo(path))
        except DatasetError as error:
            bad.append(str(error))
    raise_all(bad)
    return loaded


def _check_memory(paths: Sequence[Path]) -> None:
    """Raise DatasetError where the decoded pictures would fill more than half of the memory."""
    size = 0
    for path in paths:
        try:
            if path.suffix.lower() == ".exr":
                size += 6 * _pixels_of_exr(path)
            elif path.suffix.lower() in PICTURES:
                with Image.open(path) as image:
                    size += 3 * image.width * image.height
        except (OSError, RuntimeError, ValueError, KeyError, Image.DecompressionBombError):
            continue  # load_photo says what is wrong with it
    memory = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else size * 2
    )
    if size > memory / 2:
        raise DatasetError(
            f"{len(paths)} photos would take {size / 2**30:.0f} GB of this machine's {memory / 2**30:.0f} GB of "
            "memory: give fewer, or shrink them first (a quarter of the pixels still trains well)"
        )


def _pixels_of_exr(path: Path) -> int:
    """As its header has it."""
    import OpenEXR

    with OpenEXR.File(str(path), header_only=True) as file:
        low, high = file.header()["dataWindow"]
    return math.prod(int(b) - int(a) + 1 for a, b in zip(low, high, strict=True))


def daylight(mosaic: Mosaic) -> npt.NDArray[np.float32]:
    """A well exposed RAW photo, binned to be clean: (H // n, W // n, 3) linear sRGB, n = 4 (X-Trans 6).

    A cell's colours are averaged to one pixel (for X-Trans those of half a cell, 3x3), then 2x2 pixels to
    one: 16 values or more go into each. 1.0 is the sensor's white; balanced light above it is kept, but
    where a colour of the cell is saturated, all are cut there, so that lamps are white and not violet.
    Raises DatasetError where the file gives no colour matrix.
    """
    if mosaic.xyz_to_camera is None:
        raise DatasetError(
            f"{mosaic.make} {mosaic.model}: the file gives no colour matrix; convert it to DNG first"
        )
    cell = len(mosaic.cfa)
    block = 2 if cell == 2 else 3
    step = cell // block  # pixels a cell gives along each side
    height, width = (n - n % cell for n in mosaic.data.shape)
    sums = np.zeros((height // block, width // block, 3), np.float32)
    counts = np.zeros((step, step, 3), np.float32)
    saturated = np.zeros(sums.shape[:2], bool)
    for place, (colour, plane) in enumerate(mosaic.colour_planes()):
        dy, dx = divmod(place, cell)
        by, bx = dy // block, dx // block
        x = plane[: height // cell, : width // cell]
        sums[by::step, bx::step, colour] += x
        counts[by, bx, colour] += 1
        saturated[by::step, bx::step] |= mosaic.data[dy:height:cell, dx:width:cell] >= mosaic.saturation
    sums /= np.tile(counts, (height // cell, width // cell, 1))
    balanced = sums * np.array(mosaic.wb, np.float32)
    black = float(np.mean(mosaic.black))
    clip = min(mosaic.wb) * (mosaic.saturation - black) / (mosaic.white - black)
    balanced[saturated] = np.minimum(balanced[saturated], np.float32(clip))
    rows, columns = (n - n % 2 for n in balanced.shape[:2])
    binned = balanced[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2, 3).mean(axis=(1, 3))
    linear: npt.NDArray[np.float32] = binned @ camera_to_srgb(mosaic.xyz_to_camera).T.astype(np.float32)
    return linear


def _scene(pixels: npt.NDArray[np.float32], path: Path) -> Tensor:
    """Linear light (H, W, 3) as (3, H, W) float16, 95th percentile of the mean colour at 1.

    What is no number becomes 0, what is infinite HDR_CEILING. Raises DatasetError where there is nothing else.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        means = pixels.mean(axis=2)
    finite = means[np.isfinite(means)]
    if not finite.size:
        raise DatasetError(f"{path}: holds no pixel of finite values; leave it out or write it anew")
    level = np.percentile(finite, 95)
    with np.errstate(over="ignore"):
        scene = np.clip(np.nan_to_num(pixels) / max(float(level), 1e-6), 0, HDR_CEILING)
    return torch.from_numpy(scene.astype(np.float16)).permute(2, 0, 1).contiguous()


class CleanPhotos:
    """Random crops of clean pictures, shrunk by a random factor so that JPEG traces average out."""

    def __init__(self, paths: list[Path], crop: int, device: torch.device) -> None:
        self.crop = crop
        self.device = device
        # Linear light by 8-bit value: a power for each pixel took a tenth of a step's time.
        self.linear = srgb_to_linear(torch.arange(256) / 255).to(device)
        self.photos = [p.to(device) for p in load_photos(paths) if min(p.shape[1:]) >= crop + 16]
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

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`size` crops (B, 3, crop, crop), linear sRGB, and which of them are HDR (B,).

        `generator` is one of the CPU.
        """

        def draw() -> float:
            return float(torch.rand((), generator=generator))

        picks = torch.multinomial(self.weights, size, replacement=True, generator=generator)
        crops = []
        for index in picks.tolist():
            photo = self.photos[index]
            height, width = photo.shape[1:]
            most = min(2.5, (min(height, width) - 1) / self.crop)
            side = int(self.crop * math.exp(draw() * math.log(most)))
            top = int(draw() * (height - side))
            left = int(draw() * (width - side))
            piece = photo[:, top : top + side, left : left + side]
            linear = piece.float() if photo.dtype == torch.float16 else self.linear[piece.int()]
            if side != self.crop:
                linear = F.interpolate(
                    linear[None], (self.crop, self.crop), mode="bilinear", antialias=True
                )[0]
            if draw() < 0.5:
                linear = linear.flip(2)
            if draw() < 0.5:
                linear = linear.flip(1)
            if draw() < 0.5:
                linear = linear.transpose(1, 2)
            crops.append(linear)
        hdr = torch.tensor([self.photos[i].dtype == torch.float16 for i in picks.tolist()])
        return torch.stack(crops), hdr.to(self.device)


class PairCrops:
    """Random crops of a split's real pairs, turned at random, read from the cache as they are needed.

    Each scene is as likely as another where none are named, and so is each of a scene's frames. All of sensors of
    one pattern.
    """

    def __init__(
        self,
        cache: PairCache,
        split: Split,
        crop: int,
        device: torch.device,
        pattern: Pattern = BAYER,
    ) -> None:
        self.cache = cache
        self.pattern = pattern
        self.crop = crop
        self.device = device
        self.scenes = cache.scenes(split)
        if not self.scenes:
            raise DatasetError(f"none of the {len(cache.entries)} pairs is of the split {split}")
        entries = {i: cache.entries[i] for scene in self.scenes for i in scene}
        _check_frames(
            [(e.name, len(e.cfa), min(e.height, e.width)) for e in entries.values()], crop, pattern
        )
        self._inputs = {i: _graph_inputs(e) for i, e in entries.items()}
        self._to_srgb = {i: self._matrix(e) for i, e in entries.items()}

    def batch(self, size: int, generator: torch.Generator, scenes: Sequence[int] | None = None) -> Batch:
        """`size` crops with the graph's inputs and the truth; `generator` is one of the CPU.

        Of any scenes, or one of each of those named by their place in `self.scenes`.

        The truth is `linear * wb`, 1.0 = display white, or display sRGB with the identity for a matrix, as the
        cache holds it.
        """

        def draw(below: int) -> int:
            return int(torch.randint(below, (), generator=generator))

        mosaics, truths, inputs, matrices = [], [], [], []
        for each in range(size):
            scene = self.scenes[draw(len(self.scenes)) if scenes is None else scenes[each]]
            index = scene[draw(len(scene))]
            entry = self.cache.entries[index]
            fitting = _fitting(entry, self.crop)
            turn = fitting[draw(len(fitting))]
            cell, cfa = self.pattern.cell, self.pattern.cfa
            rows, columns = drawn(turn, cfa, self.crop, self.crop)
            top = cell * draw((entry.height - rows) // cell + 1)
            left = cell * draw((entry.width - columns) // cell + 1)
            mosaic, truth = laid(
                *self.cache.crop(index, top, left, rows, columns), turn, cfa, self.crop, self.crop
            )
            mosaics.append(mosaic)
            truths.append(truth)
            inputs.append(_placed(self._inputs[index], turn, self.pattern))
            matrices.append(self._to_srgb[index])
        # 16-bit numbers go to the device; the arithmetic is done there.
        counted, seen = (torch.from_numpy(np.stack(a)).to(self.device) for a in (mosaics, truths))
        target = seen.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 65535
        by_place = torch.tensor([[getattr(i, n) for n in _BY_PLACE] for i in inputs]).to(self.device)
        black, white, wb, shot, read_variance = by_place.unbind(1)
        if self.cache.truth == "linear":
            target = target * wb[:, [0, 1, -1], None, None]
        return Batch(
            mosaic=counted[:, None].to(torch.float32),
            black=black,
            white=white,
            wb=wb,
            shot=shot,
            read=read_variance,
            ratio=torch.tensor([[i.ratio] for i in inputs]).to(self.device),
            target=target,
            to_srgb=torch.stack(matrices).to(self.device),
        )

    def _matrix(self, entry: Entry) -> Tensor:
        if self.cache.truth == "srgb" or entry.xyz_to_camera is None:
            return torch.eye(3)
        return torch.tensor(camera_to_srgb(entry.xyz_to_camera), dtype=torch.float32)


def check_first(pairs: Sequence[Pair], crop: int, pattern: Pattern) -> None:
    """Raise as PairCrops does where the first frame shows it: nobody waits for all to be decoded to hear it."""
    try:
        frame = read_mosaic(pairs[0].short)
    except (ReadError, OSError):
        return  # the cache names all that cannot be read
    _check_frames([(pairs[0].name, len(frame.cfa), min(frame.data.shape))], crop, pattern)


def _check_frames(frames: list[tuple[str, int, int]], crop: int, pattern: Pattern) -> None:
    """Raise DatasetError unless crops fit frames of these names, sides of the colour cell, and smaller sides."""
    if crop < pattern.cell or crop % pattern.cell:
        raise DatasetError(
            f"a crop of {crop} pixels cuts through colour cells: a multiple of {pattern.cell} is needed"
        )
    told: dict[str, list[str]] = {}
    for name, cell, side in frames:
        told.setdefault(fault(cell, side, crop, pattern), []).append(name)
    for words, names in sorted(told.items()):
        if words:
            raise DatasetError(f"{few(names)}: {words}")


def fault(cell: int, side: int, crop: int, pattern: Pattern) -> str:
    """Why crops do not fit a frame of this side of the colour cell and this smaller side; nothing if they do."""
    if cell != pattern.cell:
        return (
            f"of a sensor with another colour pattern; this recipe's network is for {pattern.sensor} sensors "
            "(--set network=...)"
        )
    if side < crop:
        return f"smaller than the crop of {crop} pixels; give a smaller one (--set crop=...)"
    return ""


_BY_PLACE = ("black", "white", "wb", "shot", "read")


def _graph_inputs(entry: Entry) -> GraphInputs:
    """What enhancing would tell the graph of this frame, saturation included, but for the balance: it learns in the
    camera's, in which light of every colour occurs."""
    pattern = pattern_of(entry.cfa)
    frame = Mosaic(
        data=np.zeros((pattern.cell, pattern.cell), np.uint16),
        cfa=entry.cfa,
        black=np.array(entry.black)[np.array(pattern.plane_of_place)].reshape(pattern.cell, pattern.cell),
        white=entry.white,
        saturation=entry.saturation,
        wb=entry.wb,
    )
    profile = NoiseProfile(entry.shot, entry.read, "the cache")
    return graph_inputs(frame, Plan(Exposure(entry.ratio, "the pair"), NoiseEstimate(profile)))


def _placed(inputs: GraphInputs, turn: Turn, pattern: Pattern) -> GraphInputs:
    """The inputs of a turned mosaic: a transposition swaps the greens of a Bayer cell."""
    if pattern != BAYER:
        return inputs
    order = places(turn, pattern.cfa)
    moved = {n: tuple(getattr(inputs, n)[i] for i in order) for n in _BY_PLACE}
    return GraphInputs(**moved, ratio=inputs.ratio)


def _fitting(entry: Entry, crop: int) -> list[Turn]:
    """The turns for which the picture is large enough: most need a cell more than the crop."""
    sizes = {turn: drawn(turn, entry.cfa, crop, crop) for turn in turns_of(entry.cfa)}
    return [t for t, (rows, columns) in sizes.items() if rows <= entry.height and columns <= entry.width]
