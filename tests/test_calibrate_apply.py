"""Which of the installed profiles serves a file, what is told of it, and that none of them stops a photo."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import camera_profile as profile
from scotopic.calibration import packed
from scotopic.calibration.apply import Profiles, calibrated, candidates, installed, profiles_folder
from scotopic.calibration.profile import load
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError
from scotopic.frame import Mosaic
from scotopic.sensor.simulated import expose, sony_a7s2

SHAPE = (192, 240)


def photo(serial="", iso=3200.0, shape=SHAPE, exposure_s=0.1) -> Mosaic:
    sensor = replace(sony_a7s2(3200), make="Simulated", model="One", iso=iso)
    scene = np.random.default_rng(1).random((*shape, 3)) * 0.2
    mosaic = expose(scene, sensor, 10, np.random.default_rng(2), exposure_s=exposure_s)
    exif = replace(mosaic.exif, exif={**mosaic.exif.exif, **({0xA431: serial} if serial else {})})
    return mosaic.with_changes(exif=exif)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (profile((1600.0, 6400.0)), profile((100.0,))),
        (profile(), profile(shape=(96, 120))),
        (profile(exposure_s=30.0), profile(exposure_s=0.1)),
        (profile(), profile((100.0, 12800.0))),
        (profile(serial="7"), profile()),
        (profile(), profile((100.0,), serial="7")),
    ],
    ids=["ISO", "size", "exposure", "nearer ISO", "body", "ISO before body"],
)
def test_of_two_profiles_the_one_that_says_most_of_the_file_is_taken_whatever_their_order(right, wrong):
    mosaic = photo(serial="7", exposure_s=right.settings[0].exposure_s)
    for order in ((right, wrong), (wrong, right)):
        assert candidates(order, mosaic) == [right, wrong]
        assert calibrated(Profiles(order), mosaic).profile is right


def test_where_the_best_profile_would_take_away_what_is_not_there_the_next_is_asked():
    wrong, right = profile(serial="7", black=3000.0), profile()
    assert calibrated(Profiles((wrong, right)), photo(serial="7")).profile is right
    assert "darker than black" in calibrated(Profiles((wrong,)), photo(serial="7")).note


@pytest.mark.parametrize("asked", [True, False])
def test_a_profile_of_another_body_is_told_by_serial_numbers(asked):
    known = Profiles((profile(serial="XT2-001"), profile(serial="XT2-003")), asked=asked)
    found = calibrated(known, photo(serial="XT2-002"))
    assert found.profile is None
    for words in ("XT2-001 and XT2-003", "XT2-002", "Simulated One"):
        assert words in found.note
    assert "another camera" not in found.note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "black, dark shading and hot pixels are taken out"),
        ({"uneven": False}, "black and hot pixels are taken out"),
        ({"shape": (96, 120)}, "black is taken out"),
        ({"shape": (96, 120), "black": 0.0}, "it tells the noise, there is nothing to take out"),
        ({"black": 0.0, "uneven": False}, "hot pixels are taken out"),
    ],
)
def test_info_says_what_is_taken_out_of_this_file(tmp_path, changes, words):
    profile(**changes).save(tmp_path / "mine.json")
    write_mosaic(tmp_path / "night.dng", photo())
    told = CliRunner().invoke(
        app, ["info", str(tmp_path / "night.dng"), "--profile", str(tmp_path / "mine.json")]
    )
    assert f"profile   yours of this Simulated One: {words}\n" in told.output


def test_without_a_profiles_folder_or_with_a_file_in_its_place_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert installed() == Profiles()
    (tmp_path / "scotopic").write_text("")
    assert installed() == Profiles()


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything"
)
@pytest.mark.parametrize("closed", ["profiles", "scotopic", ""])
def test_a_profiles_folder_that_cannot_be_opened_is_told_and_stops_nothing(tmp_path, closed):
    place = tmp_path / "config" / "scotopic" / "profiles"
    place.mkdir(parents=True)
    profile().save(place / "mine.json")
    write_mosaic(tmp_path / "night.dng", photo())
    shut = tmp_path / "config" / closed if closed != "profiles" else place
    shut.chmod(0)
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-m", "scotopic", "info", "--json", str(tmp_path / "night.dng")],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")},
        )
    finally:
        shut.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "installed camera profiles are passed by" in json.loads(done.stdout)["warning"]


def test_without_a_home_installed_profiles_are_passed_by(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert "no home folder" in installed().faults[0]
    with pytest.raises(SettingsError, match="XDG_CONFIG_HOME"):
        profiles_folder()


def with_arrays(change) -> str:
    """A profile's text in which the packed arrays are others."""
    whole = json.loads(profile().to_json())
    members = {}
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(whole["patterns"]))) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name)
    change(members)
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    whole["patterns"] = base64.b64encode(found.getvalue()).decode()
    return json.dumps(whole)


def claiming(members) -> None:
    members["coarse_0.npy"] = members["coarse_0.npy"].replace(b"(6, 7)", b"(1000000, 1000000)")


def empty(members) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((0, 7), np.float16))
    members["coarse_0.npy"] = file.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (claiming, "holds fewer"),
        (empty, "does not fit"),
        (lambda members: members.update({"rows_0.npy": b"\x93NUMPY\x09\x00"}), "format"),
        (lambda members: members.pop("hot_0.npy"), "hot_0"),
    ],
)
def test_arrays_that_are_not_what_they_say_are_refused_in_words(tmp_path, change, words):
    path = tmp_path / "mine.json"
    path.write_text(with_arrays(lambda members: None))
    load(path)
    path.write_text(with_arrays(change))
    with pytest.raises(SettingsError, match=rf"mine\.json.*{words}"):
        load(path)


def test_patterns_that_unpack_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "ARRAYS_BYTES_MAX", 1000)
    profile().save(tmp_path / "mine.json")
    with pytest.raises(SettingsError, match="unpack"):
        load(tmp_path / "mine.json")


def test_what_is_no_file_or_too_large_for_a_profile_is_refused_without_reading_it(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(SettingsError, match=r"pipe\.json.*a pipe"):
        load(tmp_path / "pipe.json")
    with pytest.raises(SettingsError, match="a device"):
        load(Path("/dev/zero"))
    monkeypatch.setattr(packed, "FILE_BYTES_MAX", 1000)
    profile().save(tmp_path / "large.json")
    with pytest.raises(SettingsError, match="larger than"):
        load(tmp_path / "large.json")


def test_a_pipe_among_the_installed_profiles_is_passed_by(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    place = profiles_folder()
    place.mkdir(parents=True)
    os.mkfifo(place / "a.json")
    (place / "b.json").write_text(with_arrays(claiming))
    profile().save(place / "c.json")
    found = installed()
    assert len(found.known) == 1
    assert [name in fault for name, fault in zip(("a.json", "b.json"), found.faults, strict=True)] == [
        True
    ] * 2
