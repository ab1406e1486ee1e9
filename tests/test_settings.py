"""No setting is lost on the way from whoever asks to the picture: each is asked for, and each changes every picture."""

from __future__ import annotations

import dataclasses
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from conftest import camera_profile
from scotopic import batch
from scotopic.calibration.apply import Profiles
from scotopic.cli import app
from scotopic.cli import enhance as cli_enhance
from scotopic.dng.write import write_mosaic
from scotopic.formats.table import FACTS, FORMATS, LINEAR, SUFFIXES, Kind
from scotopic.frame import Mosaic
from scotopic.metadata import read_exif
from scotopic.read import read
from scotopic.reference import ReferenceFrame
from scotopic.run import Models
from scotopic.sensor.lateral import Lateral
from scotopic.settings import Settings, check_output
from scotopic.web.choices import Choices
from test_calibrate_apply import SHAPE, photo
from test_metadata import RICH
from test_shading import dng, opcodes_of, phone_maps

FIELDS = {field.name: field.default for field in dataclasses.fields(Settings)}

LINEAR_RAW = 34892
"""PhotometricInterpretation of a DNG's light."""

PROFILE = Profiles((camera_profile(),), asked=True)

LIKE = ReferenceFrame.of(photo(), ratio=20, name="photo.dng")

LENS = Lateral((0, 0, 1.5, 0), (0, 0, -1.5, 0))

OTHER: dict[str, Any] = {
    "ratio": 20.0,
    "ev": 4.0,
    "like": LIKE,
    "strength": 0.3,
    "passes": 4,
    "fringes": "remove",
    "look": "libraw",
    "wb": (2.5, 1.0, 1.2),
    "space": "p3",
    "kind": "png",
    "bits": 16,
    "quality": 60,
    "dng_compression": "lossless-jpeg",
    "dng_white": "sensor",
    "way": "traditional",
    "overwrite": True,
    "skip_existing": True,
    "strip_gps": True,
    "again": True,
    "dry_run": True,
    "sandbox": True,
    "tile": 96,
    "profiles": PROFILE,
}
"""A value of each setting that is not the default."""

NEEDED: dict[str, dict[str, Any]] = {
    "bits": {"kind": "png"},
    "dng_compression": {"kind": "dng"},
    "dng_white": {"kind": "dng"},
}
"""What a setting is for."""


def test_there_is_another_value_of_every_setting():
    assert set(OTHER) == set(FIELDS)
    assert all(value != FIELDS[name] for name, value in OTHER.items())


NOT_OF_THE_API = {
    "like": "each request is of one picture",
    "way": "the API enhances; LibRaw's development is for judging, on the command line",
    "overwrite": "each result is a file of its own",
    "skip_existing": "each result is a file of its own",
    "dry_run": "a picture is sent for its result",
    "sandbox": "always on, as files are of strangers",
    "tile": "changes no picture",
    "profiles": "those installed on the computer, which the worker looks for with each picture",
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_api_takes_every_setting_or_it_is_said_why_not(name):
    asked = {"space": "colour_space", "kind": "format"}

    def settings(**wanted: Any) -> Settings:
        words = {asked.get(n, n): "2.5,1,1.2" if n == "wb" else value for n, value in wanted.items()}
        return Choices(**words).settings()

    if name in NOT_OF_THE_API:
        assert asked.get(name, name) not in Choices.model_fields
        return
    needed = NEEDED.get(name, {})
    before = settings(**needed)
    assert settings(**needed, **{name: OTHER[name]}) == replace(before, **{name: OTHER[name]})


def test_every_choice_of_the_api_is_a_setting_or_chooses_the_model():
    assert set(Choices.model_fields) - {"format", "colour_space", "tier"} <= set(FIELDS)


NOT_OF_THE_COMMAND_LINE = {
    "way": "enhance and develop are commands of their own",
    "tile": "changes no picture",
}


@pytest.mark.parametrize("name", FIELDS)
def test_the_command_line_takes_every_setting_or_it_is_said_why_not(name, tmp_path, monkeypatch):
    if name in NOT_OF_THE_COMMAND_LINE:
        return
    given: dict[str, Any] = {}

    def run_files(_paths, _output, kind, _choice, _options, settings: Settings) -> None:
        given["settings"] = replace(settings, kind=kind or settings.kind)

    monkeypatch.setattr(cli_enhance, "run_files", run_files)
    value = OTHER[name]
    option = {"space": "colour-space", "kind": "format", "profiles": "profile"}.get(name, name)
    words = ["--" + option.replace("_", "-")]
    if name == "profiles":
        (profile,) = PROFILE.known
        profile.save(tmp_path / "one.json")
        words.append(str(tmp_path / "one.json"))
    elif name == "like":
        write_mosaic(tmp_path / LIKE.name, photo())
        words += [str(tmp_path / LIKE.name), "--ratio", str(LIKE.ratio)]
    elif value is not True:
        words.append(",".join(map(str, value)) if name == "wb" else str(value))
    told = CliRunner().invoke(app, ["enhance", "a.dng", *words])
    assert told.exit_code == 0, told.output
    settings = given["settings"]
    if name == "profiles":
        assert settings.profiles.asked
    else:
        assert getattr(settings, name) == value


WAYS: dict[str, dict[str, Any]] = {
    "at once": {"kind": "png"},
    "balanced by its light": {"kind": "png", "wb": "auto"},
    "behind a lens": {"kind": "png"},
    "finished colours": {"kind": "png", "again": True},
    "a DNG": {"kind": "dng"},
    "a DNG's preview": {"kind": "dng"},
    "a JPEG": {"kind": "jpg"},
}
"""How a picture goes through `batch`, each with the settings that lead there."""

PICTURES = frozenset(WAYS) - {"a DNG", "a DNG's preview"}
MOSAICS = frozenset(WAYS) - {"finished colours"}

COUNTS: dict[str, frozenset[str]] = {
    "ratio": frozenset(WAYS),
    "ev": frozenset(WAYS),
    "like": frozenset(WAYS),
    "strength": frozenset(WAYS),
    "passes": frozenset(WAYS),
    "fringes": MOSAICS,
    "look": frozenset(WAYS) - {"a DNG"},
    "wb": frozenset(WAYS) - {"balanced by its light"},
    "space": PICTURES,
    "bits": PICTURES - {"a JPEG"},
    "quality": frozenset({"a JPEG"}),
    "dng_compression": frozenset({"a DNG"}),
    "dng_white": frozenset({"a DNG"}),
    "strip_gps": frozenset(WAYS) - {"a DNG's preview"},
    "profiles": MOSAICS,
}
"""Which settings change a picture, and of which ways."""

CHANGES_NO_PICTURE = {
    "kind": "says which way is gone",
    "way": "says whether a picture is enhanced",
    "again": "whether one that is enhanced already is taken",
    "overwrite": "of files that are there",
    "skip_existing": "of files that are there",
    "dry_run": "nothing is made",
    "sandbox": "where files are decoded",
    "tile": "how much the network sees at a time",
}


def test_of_every_setting_it_is_said_whether_it_changes_a_picture():
    assert set(COUNTS) | set(CHANGES_NO_PICTURE) == set(FIELDS)
    assert not set(COUNTS) & set(CHANGES_NO_PICTURE)


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(None, device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny photo, and the same as finished colours."""
    folder = tmp_path_factory.mktemp("settings")
    plain = photo()
    data = plain.data.copy()
    # A lamp, which looks show each in its own way.
    data[40:80, 40:80] = 3000
    exif = replace(plain.exif, gps=RICH.gps)
    write_mosaic(folder / "photo.dng", plain.with_changes(data=data, exif=exif))
    job = batch.Job(folder / "photo.dng", folder / "colours.dng")
    made = batch.treated(job, Settings(kind="dng", ratio=2.0), Models(None, device="cpu"))
    assert made.status == "done", made.error
    shaded = np.full(SHAPE, 500, np.uint16)
    dng(folder / "shaded.dng", shaded, t51009=opcodes_of(phone_maps(), *SHAPE))
    return folder


_Known = dict[str, Any]


@pytest.fixture(scope="module")
def plain() -> dict[str, _Known]:
    """What comes out on each way by default, once it is known."""
    return {}


def seen(folder: Path, way: str, models: Models, monkeypatch, **changes: Any) -> _Known:
    """What is to be seen of the result of a way."""
    # So small a picture tells of no lens.
    monkeypatch.setattr(sys.modules["scotopic.enhance"], "lateral_colour", lambda *_: LENS)
    settings = replace(Settings(ratio=8.0), **WAYS[way], **changes)
    if "ev" in changes:
        settings = replace(settings, ratio=None)
    check_output(settings)
    if way == "behind a lens":
        shading = read(folder / "shaded.dng").shading
        monkeypatch.setattr(batch, "read", lambda path: _mosaic(path).with_changes(shading=shading))
    source = folder / ("colours.dng" if way == "finished colours" else "photo.dng")
    target = folder / f"result.{settings.kind}"
    outcome = batch.treated(batch.Job(source, target), replace(settings, overwrite=True), models)
    assert outcome.status == "done", outcome.error
    if way == "a DNG's preview":
        with tifffile.TiffFile(target) as tiff:
            (preview,) = [page for page in tiff.pages.first.pages if page.photometric != LINEAR_RAW]
            return {"preview": preview.asarray().tobytes()}
    gps = {"gps": bool(read_exif(target).gps)}
    if way == "a DNG":
        with tifffile.TiffFile(target) as tiff:
            (page,) = [p for p in tiff.pages.first.pages if p.photometric == LINEAR_RAW]
            return gps | {
                "light": page.asarray().tobytes(),
                "white": page.tags[50717].value,
                "wb": tiff.pages.first.tags[50728].value,
                "compression": page.compression,
            }
    content = target.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        gps["icc"] = image.info["icc_profile"]
        pixels = imagecodecs.png_decode(content) if settings.kind == "png" else np.asarray(image)
    return gps | {"dtype": pixels.dtype, "pixels": pixels.tobytes()}


def _mosaic(path: Path) -> Mosaic:
    captured = read(path)
    assert isinstance(captured, Mosaic)
    return captured


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COUNTS)
def test_every_setting_changes_the_picture_on_every_way(name, way, folder, models, plain, monkeypatch):
    if way not in COUNTS[name]:
        return
    if way not in plain:
        plain[way] = seen(folder, way, models, monkeypatch)
    got = seen(folder, way, models, monkeypatch, **{name: OTHER[name]})
    changed = {what for what, value in got.items() if value != plain[way][what]}
    assert changed
    # What it does not mean stays.
    own = {"strip_gps": {"gps"}, "dng_compression": {"compression"}, "quality": {"pixels"}}
    assert changed <= own.get(name, {*got} - {"gps"})


def test_every_format_has_its_row():
    assert tuple(FACTS) == get_args(Kind)
    assert (*FORMATS, "dng") == get_args(Kind)
    assert set(SUFFIXES.values()) == set(FORMATS)
    assert all(f".{kind}" in facts.suffixes for kind, facts in FACTS.items())
    # Light without a curve in few bits would show steps.
    assert all(max(FACTS[kind].depths) == 16 for kind in LINEAR)
