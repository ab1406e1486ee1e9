"""The XMP files that editors put beside photos: which are found, and how often a folder is listed for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scotopic.disk.sidecars import Beside, keep, sidecars, words_beside
from scotopic.dng.write import write_mosaic
from scotopic.frame import Mosaic
from scotopic.metadata.xmp import Words, build
from scotopic.sandbox import read_sandboxed


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["IMG_1.Xmp"], ["IMG_1.Xmp"]),
        (["img_1.xmp", "Img_1.tif.XMP"], ["Img_1.tif.XMP", "img_1.xmp"]),
        (["IMG_1.xmp", "img_1.xmp", "IMG_1.XMP"], ["IMG_1.xmp", "IMG_1.XMP"]),
        (["img_1.xmp", "Img_1.xmp", "IMG_1.Xmp"], ["IMG_1.Xmp"]),
        (["img_1.xmp", "Img_1.xmp"], ["Img_1.xmp"]),
        (["img_1.xmp", "img_1.NEF"], []),
        (["img_1.xmp", "img_1.jpg"], []),
        (["img_1.tif.xmp", "img_1.jpg"], ["img_1.tif.xmp"]),
        (["IMG_10.xmp", "IMG_1.jpg.xmp", "IMG_1xmp", ".xmp"], []),
    ],
)
def test_a_sidecar_is_known_however_it_is_spelt_but_not_another_photos(tmp_path, names, found):
    assert Beside(["IMG_1.tif", *names]).of("IMG_1.tif") == found
    for name in ("IMG_1.tif", *names):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) == len(names) + 1:
        assert [path.name for path in sidecars(tmp_path / "IMG_1.tif") if path.exists()] == found


def test_accents_of_a_sidecar_may_be_written_the_other_way():
    assert Beside(["u\u0308.dng", "u\u0308.xmp"]).of("\u00fc.dng") == ["u\u0308.xmp"]


def test_a_folder_is_listed_once_until_something_comes_and_the_sandbox_finds_what_is_there(
    tmp_path, monkeypatch, dark: Mosaic
):
    for number in (1, 2):
        write_mosaic(tmp_path / f"IMG_{number}.dng", dark)
    (tmp_path / "img_1.Xmp").write_bytes(build(Words(rating=3), enhanced=False))
    listed, listing = [], os.listdir

    def noted(folder: Path) -> list[str]:
        listed.append(folder)
        return listing(folder)

    monkeypatch.setattr("scotopic.disk.sidecars.os.listdir", noted)
    for number, rating in ((1, 3), (2, None), (1, 3)):
        assert words_beside(tmp_path / f"IMG_{number}.dng").rating == rating
    assert listed == [tmp_path]
    (tmp_path / "img_2.Xmp").write_bytes(build(Words(rating=4), enhanced=False))
    os.utime(tmp_path, (1, 1))
    assert words_beside(tmp_path / "IMG_2.dng").rating == 4
    assert read_sandboxed(tmp_path / "IMG_2.dng").exif.words.rating == 4


def test_of_a_folder_that_may_not_be_listed_the_usual_names_are_tried(tmp_path, monkeypatch):
    def shut(_folder: Path) -> list[str]:
        raise PermissionError

    monkeypatch.setattr("scotopic.disk.sidecars.os.listdir", shut)
    (tmp_path / "IMG_1.XMP").write_bytes(build(Words(rating=3), enhanced=False))
    assert words_beside(tmp_path / "IMG_1.dng").rating == 3


def test_what_has_come_while_the_folders_time_stood_still_is_found_where_it_is_spelt_as_usual(tmp_path):
    (tmp_path / "IMG_1.dng").touch()
    os.utime(tmp_path, (1, 1))
    assert words_beside(tmp_path / "IMG_1.dng").rating is None
    (tmp_path / "IMG_1.xmp").write_bytes(build(Words(rating=3), enhanced=False))
    os.utime(tmp_path, (1, 1))
    assert words_beside(tmp_path / "IMG_1.dng").rating == 3


def test_what_was_found_before_a_process_was_confined_is_found_by_it(tmp_path, monkeypatch):
    (tmp_path / "img_1.Xmp").write_bytes(build(Words(rating=3), enhanced=False))
    monkeypatch.setattr("scotopic.disk.sidecars._kept", {})
    keep(tmp_path / "IMG_1.dng")

    def shut(_folder: Path) -> list[str]:
        raise PermissionError

    monkeypatch.setattr("scotopic.disk.sidecars.os.listdir", shut)
    os.utime(tmp_path, (1, 1))
    assert words_beside(tmp_path / "IMG_1.dng").rating == 3
