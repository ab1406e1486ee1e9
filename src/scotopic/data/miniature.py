"""A miniature of the See-in-the-Dark dataset, simulated from clean photos.

Names, ISO, exposures, white balances and ratios are those of real scenes; the pictures are photos taken
anew by simulated cameras. What trains on the dataset trains on this, in minutes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.colour import CAMERA_MATRICES, camera_to_srgb
from scotopic.data.pairs import Camera, Split, parse_sid_name
from scotopic.disk.files import check_there
from scotopic.disk.folders import ANOTHER, making
from scotopic.dng.write import write_mosaic
from scotopic.errors import DatasetError, FileExistsRefusal, SettingsError, unwritten
from scotopic.evaluate import scenes as photos_as_scenes
from scotopic.frame import X_TRANS, Mosaic
from scotopic.metadata import Exif
from scotopic.sensor.simulated import Sensor, expose, sony_a7s2
from scotopic.write import refusal

README = "README.txt"
MADE_BY = "simulated by scotopic"
"""The first words of the README; a folder without them is never written over."""

CACHE = ".scotopic-cache"
"""What training may have left in the folder."""

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

SHARES: tuple[Split, ...] = ("train", "validation", "test", "train", "train")
"""Scenes are given to the splits in turn: the dataset's 161, 20 and 50, but never none."""

SHORT_FRAMES = 3
"""Short frames a scene: two exposures or two frames of one are among them."""

SIZE_MIN = 64
"""Below this there is nothing to measure the noise on."""

CALIBRATED_ISO = (100.0, 25600.0)
"""Range of the A7S II's calibrated ISO; the few scenes at ISO 50 to 80 get the noise of ISO 100."""

FUJI_BLACK_DN, FUJI_WHITE_DN = 1024.0, 16383.0
FUJI_FULL_WELL_E, FUJI_BASE_ISO, FUJI_READ_STD_E = 29_000.0, 200.0, 2.5
"""Of the order of what 24-megapixel APS-C sensors of 2016 have: assumed, no calibration of an X-T2 is here."""

ROUNDED = 0.02
"""The exposure in a name may be off by this share for its few digits."""

_ENDINGS: dict[Camera, str] = {"Sony": "ARW", "Fuji": "RAF"}


@dataclass(frozen=True)
class SidScene:
    """A scene of the dataset: the names of its frames without ending, and what they were taken with."""

    long: str
    short: tuple[str, ...]
    ratios: tuple[float, ...]
    """How many times less light each short frame got."""
    iso: float
    exposure_s: float
    """Exposure time of the long frame, in seconds."""
    wb: tuple[float, float, float]
    split: Split


def load_scenes(metadata: Path | None = None) -> dict[Split, list[SidScene]]:
    """Real scenes by split: twelve that come with the package, or all of a JSON file of the same form.

    Raises DatasetError for a file that is none.
    """
    path = metadata or Path(str(files("scotopic.data") / "sid_scenes.json"))
    check_there(path)
    try:
        splits = json.loads(path.read_text())["splits"]
        return {split: [_scene(entry, split) for entry in splits[split]] for split in SPLITS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: is no table of scenes ({_why(error)}); JSON with an object splits is needed, in it lists train, "
            "validation and test, each entry with long, short, ratios, iso, exposure_s, wb"
        ) from error


def _why(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def write_miniature(
    folder: Path,
    *,
    scenes: int,
    size: tuple[int, int],
    seed: int = 0,
    photos: Path | None = None,
    metadata: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write `Sony` and `Fuji`, each with `short` and `long`, and a README below `folder`.

    `scenes` real scenes are spread over training, validation and test; `size` is height and width of the
    pictures in pixels, even. Photos are those of a folder, or the held-out ones of the package; a photo
    smaller than `size` is continued by its mirror image. No photo is used in two splits where there are
    three. The same arguments give the same bytes.

    The folder appears when it is complete. Raises FileExistsRefusal when it is there and `overwrite` is
    not set, or when it holds anything but a miniature; SettingsError for sizes and numbers out of range;
    DatasetError for photos or metadata that cannot be used; WriteError when the disk refuses.
    """
    height, width = size
    if min(size) < SIZE_MIN or height % 2 or width % 2:
        raise SettingsError(f"size {height}x{width} must be even numbers from {SIZE_MIN} up")
    _check_free(folder, overwrite)
    chosen = choose(load_scenes(metadata), scenes)
    shown = _share_out(photos_as_scenes.find_all(photos), chosen)
    with _placed(folder, overwrite) as fresh:
        for camera in _ENDINGS:
            for part in ("short", "long"):
                (fresh / camera / part).mkdir(parents=True)
        for scene, photo in zip(chosen, shown, strict=True):
            rng = np.random.default_rng([seed, int(scene.long[:5])])
            light = _piece(photos_as_scenes.load(photo).camera, size, rng)
            for camera in _ENDINGS:
                _write_scene(fresh / camera, camera, scene, light, rng, photo.name)
        (fresh / README).write_text(_readme(chosen, shown, size, seed), encoding="utf-8")


def choose(known: dict[Split, list[SidScene]], count: int) -> list[SidScene]:
    """`count` scenes, of each split some, evenly out of its list. Raises SettingsError where they are too few.

    >>> [len([s for s in choose(load_scenes(), 5) if s.split == split]) for split in SPLITS]
    [3, 1, 1]
    """
    total = sum(map(len, known.values()))
    if not 3 <= count <= total:
        raise SettingsError(
            f"{count} scenes: from 3 (one a split) to {total} can be made; a longer table of scenes can be given "
            "as metadata"
        )
    numbers = dict.fromkeys(SPLITS, 0)
    turn = 0
    while sum(numbers.values()) < count:
        split = SHARES[turn % len(SHARES)]
        numbers[split] += numbers[split] < len(known[split])
        turn += 1
    chosen = []
    for split in SPLITS:
        places = np.linspace(0, len(known[split]) - 1, numbers[split]).round().astype(int)
        chosen += [known[split][i] for i in places]
    return chosen


def fuji_x_t2(iso: float) -> Sensor:
    """A sensor like the Fujifilm X-T2's: 14 bits, black 1024. No calibration: see FUJI_FULL_WELL_E.

    >>> round(fuji_x_t2(200).full_well_e)
    29000
    """
    full_well_e = FUJI_FULL_WELL_E * FUJI_BASE_ISO / max(iso, FUJI_BASE_ISO)
    gain_dn_per_e = (FUJI_WHITE_DN - FUJI_BLACK_DN) / full_well_e
    return Sensor(
        make="FUJIFILM",
        model="X-T2",
        iso=iso,
        gain_dn_per_e=gain_dn_per_e,
        read_std_dn=FUJI_READ_STD_E * gain_dn_per_e,
        black_dn=(FUJI_BLACK_DN,) * 4,
        white_dn=FUJI_WHITE_DN,
    )


def _scene(entry: dict[str, Any], split: Split) -> SidScene:
    red, green, blue = (float(v) for v in entry["wb"])
    long, short = str(entry["long"]), tuple(map(str, entry["short"]))
    exposure_s = float(entry["exposure_s"])
    named = [n for n in (parse_sid_name(f"{name}.ARW") for name in (long, *short)) if n is not None]
    if len(named) != len(short) + 1 or not short or any(n.scene != long[:5] for n in named):
        raise ValueError(f"{long} and its short frames are not named like those of one scene")
    if named[0].split != split:
        raise ValueError(f"{long} is a scene for {named[0].split}, not for {split}")
    ratios = []
    for name, stated in zip(named[1:], entry["ratios"], strict=True):
        ratio = exposure_s / name.exposure_s
        # The name says 0.033 s where the shutter was open for 1/30 s; the table's ratio knows.
        ratios.append(float(stated) if abs(ratio / float(stated) - 1) < ROUNDED else ratio)
    return SidScene(
        long=long,
        short=short,
        ratios=tuple(ratios),
        iso=float(entry["iso"]),
        exposure_s=exposure_s,
        wb=(red, green, blue),
        split=split,
    )


def _share_out(photos: list[Path], scenes: list[SidScene]) -> list[Path]:
    """A photo for each scene: every split has its own photos where there are enough."""
    own: dict[Split, list[Path]] = {split: [] for split in SPLITS}
    for i, photo in enumerate(photos):
        own[SHARES[i % len(SHARES)]].append(photo)
    numbers = dict.fromkeys(SPLITS, 0)
    shown = []
    for scene in scenes:
        of_split = own[scene.split] or photos
        shown.append(of_split[numbers[scene.split] % len(of_split)])
        numbers[scene.split] += 1
    return shown


def _piece(
    light: npt.NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A random crop of `size`, flipped or not, mirrored where the photo ends."""
    missing = [max(0, n - m) for n, m in zip(size, light.shape[:2], strict=True)]
    light = np.pad(light, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
    top, left = (int(rng.integers(m - n + 1)) for n, m in zip(size, light.shape[:2], strict=True))
    piece = light[top : top + size[0], left : left + size[1]]
    return piece[:, ::-1] if rng.integers(2) else piece


def _write_scene(
    folder: Path,
    camera: Camera,
    scene: SidScene,
    light: npt.NDArray[np.float64],
    rng: np.random.Generator,
    photo: str,
) -> None:
    """One long frame and some short ones, each with noise of its own."""
    ending = _ENDINGS[camera]
    long = _taken(camera, scene, light, 1.0, scene.exposure_s, rng, photo)
    write_mosaic(folder / "long" / f"{scene.long}.{ending}", long)
    for name, ratio in list(zip(scene.short, scene.ratios, strict=True))[:SHORT_FRAMES]:
        short = _taken(camera, scene, light, ratio, scene.exposure_s / ratio, rng, photo)
        write_mosaic(folder / "short" / f"{name}.{ending}", short)


def _taken(
    camera: Camera,
    scene: SidScene,
    light: npt.NDArray[np.float64],
    ratio: float,
    exposure_s: float,
    rng: np.random.Generator,
    photo: str,
) -> Mosaic:
    own = CAMERA_MATRICES[photos_as_scenes.CAMERA]
    if camera == "Sony":
        sensor = replace(sony_a7s2(float(np.clip(scene.iso, *CALIBRATED_ISO))), iso=scene.iso)
        mosaic = expose(light, sensor, ratio, rng, wb=scene.wb, xyz_to_camera=own, exposure_s=exposure_s)
    else:
        fuji = CAMERA_MATRICES["Fujifilm X-T2"]
        change = np.linalg.inv(camera_to_srgb(fuji)) @ camera_to_srgb(own)
        mosaic = expose(
            np.maximum(light @ change.T, 0),
            fuji_x_t2(scene.iso),
            ratio,
            rng,
            wb=scene.wb,
            cfa=X_TRANS,
            xyz_to_camera=fuji,
            exposure_s=exposure_s,
        )
    words = f"{MADE_BY} from {photo}: no camera took this picture"
    return mosaic.with_changes(exif=Exif({**mosaic.exif.main, 0x010E: words}, {}, {}))


def _readme(scenes: list[SidScene], photos: list[Path], size: tuple[int, int], seed: int) -> str:
    lines = "\n".join(
        f"  {s.long[:5]}  {s.split:10}  ISO {s.iso:<6g} {s.exposure_s:g} s  {p.name}"
        for s, p in zip(scenes, photos, strict=True)
    )
    shared = len({(s.split, p) for s, p in zip(scenes, photos, strict=True)}) > len(set(photos))
    warning = "\nThere were too few photos: some are used in several splits.\n" if shared else ""
    return f"""{MADE_BY}: no camera took these pictures.

A miniature of the See-in-the-Dark dataset (Chen et al., CVPR 2018): {len(scenes)} scenes of
{size[0]}x{size[1]} pixels, seed {seed}. The files are DNG inside, whatever their names end in.

Sony: Sony A7S II; noise by PMN's calibration, long frames included. Names, ISO, exposure, white balance and
ratios are those of the dataset's scenes, as listed by megvii-research/PMN (Apache-2.0).
Fuji: an X-Trans sensor like the Fujifilm X-T2's, its noise assumed; names, ISO and white balance are those
of the Sony scenes.

Scene, split, ISO and exposure of the long frame, and the photo it was simulated from:
{lines}
{warning}"""


def _check_free(folder: Path, overwrite: bool) -> None:
    """Raise FileExistsRefusal unless the folder is free or may be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise refusal(folder)
    try:
        ours = (folder / README).read_text(encoding="utf-8").startswith(MADE_BY)
    except (OSError, ValueError):
        ours = False
    if not ours or {p.name for p in folder.iterdir()} - {README, *_ENDINGS, CACHE}:
        raise FileExistsRefusal(
            f"{folder}: holds something else than a miniature and is kept; give another folder"
        )


@contextmanager
def _placed(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder to fill, that takes the name `folder` when all went well and vanishes when not."""
    with making(folder.parent):
        try:
            around = Path(tempfile.mkdtemp(prefix=".scotopic-", dir=folder.parent))
        except OSError as error:
            raise unwritten(folder, error, ANOTHER) from error
        try:
            fresh = around / "new"
            fresh.mkdir()
            yield fresh
            _check_free(folder, overwrite)
            if folder.exists():
                folder.rename(around / "old")
            fresh.rename(folder)
        except OSError as error:
            raise unwritten(folder, error) from error
        finally:
            if (around / "old").exists() and not folder.exists():
                (around / "old").rename(folder)
            shutil.rmtree(around, ignore_errors=True)
