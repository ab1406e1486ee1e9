from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from scotopic.cli import app
from scotopic.data import miniature
from scotopic.data.miniature import SPLITS, choose, load_scenes, write_miniature
from scotopic.data.pairs import Pair, check, find_pairs, find_sid, parse_sid_name, ratio_of, sid_folder
from scotopic.data.pairs_check import glance, glance_at, glance_truth, odd_frames, odd_times
from scotopic.dng.write import write_mosaic
from scotopic.errors import DatasetError, FileExistsRefusal, SettingsError, WriteError
from scotopic.noise import blind_fit
from scotopic.read import libraw_truth, read
from scotopic.sensor.simulated import expose, sony_a7s2

SIZE = (96, 128)


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "sid"
    write_miniature(folder, scenes=5, size=SIZE, seed=3)
    return folder


@pytest.fixture
def find_data():
    pytest.importorskip("torch")
    from scotopic.train.sources import find_data

    return find_data


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def shot(path: Path, *, exposure_s: float, iso: float = 400, ratio: float = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = np.full((64, 64, 3), 0.3)
    write_mosaic(
        path, expose(scene, sony_a7s2(iso), ratio, np.random.default_rng(0), exposure_s=exposure_s)
    )
    return path


@given(
    scene=st.integers(0, 29999),
    frame=st.integers(0, 99),
    seconds=st.sampled_from(["0.033", "0.04", "0.1", "10", "30"]),
    ending=st.sampled_from(["ARW", "arw", "RAF", "dng"]),
)
def test_a_name_of_the_dataset_says_scene_frame_exposure_and_split(scene, frame, seconds, ending):
    name = parse_sid_name(f"{scene:05}_{frame:02}_{seconds}s.{ending}")
    assert (name.scene, name.frame, name.exposure_s) == (f"{scene:05}", f"{frame:02}", float(seconds))
    assert name.split == {0: "train", 1: "test", 2: "validation"}[scene // 10000]


@pytest.mark.parametrize(
    "name", ["30003_00_0.04s.ARW", "1003_00_0.04s.ARW", "10003_00_0.04s.jpg", "10003_00_0s.ARW", "._x", ""]
)
def test_other_names_are_none_of_the_dataset(name):
    assert parse_sid_name(name) is None


def test_pairs_of_the_dataset_take_the_scenes_long_frame_and_cap_the_ratio(tmp_path):
    touched(
        tmp_path / "Sony",
        "short/10034_00_0.1s.ARW",
        "short/00001_00_0.033s.ARW",
        "short/00001_01_0.1s.ARW",
        "short/notes.txt",
        "long/10034_00_10s.ARW",
        "long/00001_00_30s.ARW",
    )
    pairs = find_sid(tmp_path)
    assert [p.name for p in pairs] == ["00001_00_0.033s", "00001_01_0.1s", "10034_00_0.1s"]
    assert [p.ratio for p in pairs] == [300, 300, 100]
    assert [p.split for p in pairs] == ["train", "train", "test"]
    assert [p.misaligned for p in pairs] == [False, False, True]
    assert [p.frame for p in pairs] == ["00", "01", "00"]
    assert pairs[0].long.name == "00001_00_30s.ARW"
    assert find_sid(tmp_path / "Sony") == pairs


def test_a_dataset_that_is_not_whole_is_refused_by_name(tmp_path):
    with pytest.raises(DatasetError, match="not laid out"):
        find_sid(tmp_path)
    touched(tmp_path / "Sony", "short/00001_00_0.1s.ARW", "long/notes.txt")
    with pytest.raises(DatasetError, match=r"no long frame for 00001_00_0\.1s\.ARW"):
        find_sid(tmp_path)
    touched(tmp_path / "Sony", "long/00001_00_10s.ARW", "long/00001_00_30s.ARW")
    with pytest.raises(DatasetError, match="another long frame"):
        find_sid(tmp_path)
    touched(tmp_path / "Fuji", "short/notes.txt", "long/00001_00_10s.RAF")
    with pytest.raises(DatasetError, match="no short frames"):
        find_sid(tmp_path, "Fuji")


def test_own_pairs_go_by_equal_names_and_by_what_the_files_say(tmp_path):
    for i in range(10):
        shot(tmp_path / "short" / f"IMG_{i}.dng", exposure_s=0.1)
        shot(tmp_path / "long" / f"IMG_{i}.arw", exposure_s=2.5, ratio=1)
    pairs = find_pairs(tmp_path)
    assert [p.ratio for p in pairs] == pytest.approx([25] * 10)
    assert [p.split for p in pairs] == ["train"] * 9 + ["validation"]
    (tmp_path / "long" / "IMG_3.arw").unlink()
    with pytest.raises(DatasetError, match=r"no file of the same name for IMG_3\.dng"):
        find_pairs(tmp_path)


def pair(folder: Path, short: str, long: str) -> None:
    shot(folder / short, exposure_s=0.1)
    shot(folder / long, exposure_s=2.5, ratio=1)


def test_what_lies_beside_raw_files_on_a_card_is_passed_by(tmp_path):
    for part, seconds in (("short", 0.1), ("long", 2.5)):
        shot(tmp_path / part / "IMG_1.ARW", exposure_s=seconds, ratio=10 if part == "short" else 1)
        touched(
            tmp_path / part,
            *(
                ".DS_Store",
                "._IMG_1.ARW",
                "IMG_1.JPG",
                "img_1.jpeg",
                "IMG_1.HIF",
                "IMG_1.xmp",
                "IMG_1.ARW.xmp",
            ),
            *("Thumbs.db", "notes.txt", "more/IMG_2.ARW"),
        )
    (found,) = find_pairs(tmp_path)
    assert (found.short, found.long) == (tmp_path / "short" / "IMG_1.ARW", tmp_path / "long" / "IMG_1.ARW")


def test_a_picture_without_its_raw_file_is_refused_and_told_with_its_folder(tmp_path):
    pair(tmp_path, "short/a.dng", "long/a.dng")
    for part in ("short", "long"):
        (tmp_path / part / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 no mosaic")
    with pytest.raises(DatasetError) as caught:
        find_pairs(tmp_path)
    assert caught.value.lines[1].startswith(f"{tmp_path / 'short' / 'b.jpg'}: ")
    assert "b.jpg: b.jpg" not in str(caught.value)
    with pytest.raises(DatasetError) as caught:
        check([tmp_path / "long" / "b.jpg", tmp_path / "long" / "none.dng", tmp_path / "long" / "a.dng"])
    assert [line.split(": ")[0] for line in caught.value.lines[1:]] == [
        str(tmp_path / "long" / name) for name in ("b.jpg", "none.dng")
    ]


def test_upper_and_lower_case_are_one_where_that_leaves_no_doubt(tmp_path):
    pair(tmp_path, "Short/IMG_1.ARW", "LONG/img_1.arw")
    (found,) = find_pairs(tmp_path)
    assert (found.short.name, found.long.name, found.scene) == ("IMG_1.ARW", "img_1.arw", "IMG_1")
    pair(tmp_path, "Short/img_1.arw", "LONG/IMG_1.ARW")
    if len(list((tmp_path / "LONG").iterdir())) == 2:  # the disk tells them apart
        assert all(p.short.name == p.long.name for p in find_pairs(tmp_path))
        (tmp_path / "LONG" / "IMG_1.ARW").unlink()
        with pytest.raises(DatasetError, match=r"case tell which file goes with IMG_1\.ARW"):
            find_pairs(tmp_path)
        pair(tmp_path, "Short/img_1.arw", "LONG/Img_1.arw")
        (tmp_path / "Short" / "img_1.arw").unlink()
        with pytest.raises(DatasetError, match=r"case tell which file goes with IMG_1\.ARW"):
            find_pairs(tmp_path)


def test_two_raw_files_of_one_name_and_a_folder_without_any_are_refused(tmp_path):
    pair(tmp_path, "short/a.dng", "long/a.dng")
    touched(tmp_path, "long/a.arw")
    with pytest.raises(DatasetError, match=r"a\.arw and a\.dng differ in their ending alone"):
        find_pairs(tmp_path)
    for path in (tmp_path / "long").iterdir():
        path.unlink()
    touched(tmp_path, "long/notes.txt")
    with pytest.raises(DatasetError, match=r"long: holds no RAW files"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ((), "there is no such folder"),
        (("pp/notes.txt",), "has no folder short and no folder long"),
        (("pp/short/a.dng",), r"has no folder long\)"),
        (("pp/Long/a.dng",), r"has no folder short\)"),
        (("pp",), "is no folder"),
    ],
)
def test_a_folder_that_holds_no_pairs_is_told_what_it_lacks(tmp_path, made, words):
    touched(tmp_path, *made)
    with pytest.raises(DatasetError, match=words):
        find_pairs(tmp_path / "pp")


@given(count=st.integers(1, 45))
@settings(max_examples=20)
def test_of_two_scenes_or_more_some_are_kept_to_watch_a_training_by(count, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    names = [f"{i}.dng" for i in range(count)]
    touched(folder, *names, *(f"l{name}" for name in names))
    (folder / "pairs.csv").write_text(
        "short,long,ratio,scene\n" + "".join(f"{name},l{name},9,{name}\n" for name in names)
    )
    splits = [p.split for p in find_pairs(folder)]
    assert splits.count("validation") == (0 if count == 1 else max(1, count // 10))
    assert splits.count("train") >= min(count, 1)


def test_the_last_of_a_few_pairs_is_kept_for_validation(tmp_path):
    pair(tmp_path, "short/a.dng", "long/a.dng")
    assert [p.split for p in find_pairs(tmp_path)] == ["train"]
    pair(tmp_path, "short/b.dng", "long/b.dng")
    assert [p.split for p in find_pairs(tmp_path)] == ["train", "validation"]


def table_of(folder: Path, text: str) -> list[tuple[str, str, str]]:
    touched(folder, *(f"{part}{i}.dng" for part in "sl" for i in range(4)))
    (folder / "pairs.csv").write_text(text)
    return [(p.short.name, p.scene, p.split) for p in find_pairs(folder)]


@pytest.mark.parametrize("separator", [",", ", ", ";", "\t", " ; "])
def test_a_table_may_be_written_as_people_and_spreadsheets_do(tmp_path, separator):
    text = "Short,LONG ,Ratio,Split,Remark\ns0.dng,l0.dng,8,Train,\n\ns1.dng,l1.dng,9,test,x\n,,,,\n"
    assert table_of(tmp_path, text.replace(",", separator)) == [
        ("s0.dng", "l0", "train"),
        ("s1.dng", "l1", "test"),
    ]


def test_a_line_without_a_split_is_where_the_rest_of_its_scene_is(tmp_path):
    text = "short,long,ratio,scene,split\ns0.dng,l0.dng,8,a,\ns1.dng,l0.dng,8,a,test\ns2.dng,l2.dng,8,b,\n"
    assert [split for *_, split in table_of(tmp_path, text)] == ["test", "test", "train"]
    text += "s3.dng,l3.dng,8,c,\n"
    assert [split for *_, split in table_of(tmp_path, text)] == ["test", "test", "train", "validation"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            "s0.dng,l0.dng,8,a,train\ns1.dng,l1.dng,8,a,test\n",
            "line 3: scene a is for test here and for train in line 2",
        ),
        (
            "s0.dng,l0.dng,8,a,train\ns1.dng,l0.dng,8,b,test\n",
            r"line 3: long frame l0\.dng is for test here",
        ),
        ("s0.dng,l0.dng,8,a,\n\ns0.dng,l0.dng,8,a,\n", "line 4: is the pair of line 2 again"),
        ("s0.dng,l0.dng,8,a,\ns0.dng,../{name}/l0.dng,8,a,\n", "line 3: is the pair of line 2 again"),
    ],
)
def test_a_table_that_measures_on_what_was_learnt_from_or_says_a_pair_twice_is_refused(
    tmp_path, rows, words
):
    with pytest.raises(DatasetError, match=words):
        table_of(tmp_path, "short,long,ratio,scene,split\n" + rows.format(name=tmp_path.name))


def test_training_finds_pairs_in_folders_of_upper_case(tmp_path, find_data):
    pair(tmp_path, "Short/IMG_1.ARW", "LONG/img_1.arw")
    assert [p.long.name for p in find_data([tmp_path]).pairs] == ["img_1.arw"]


def test_half_of_the_dataset_is_told_what_it_lacks(tmp_path, find_data):
    touched(
        tmp_path,
        "Sony/short/10003_00_0.1s.ARW",
        "Fuji/short/10003_00_0.1s.RAF",
        "Fuji/long/10003_00_10s.RAF",
    )
    for find in (find_sid, lambda folder: find_data([folder])):
        with pytest.raises(DatasetError, match=r"Sony has no folder long\)"):
            find(tmp_path)
    shutil.rmtree(tmp_path / "Sony")
    with pytest.raises(DatasetError, match="holds the Fuji half of the dataset alone"):
        find_data([tmp_path])
    shutil.rmtree(tmp_path / "Fuji" / "long")
    with pytest.raises(DatasetError, match=r"Fuji has no folder long\)"):
        find_data([tmp_path], "xtrans")
    with pytest.raises(DatasetError, match="there is no such folder"):
        find_sid(tmp_path / "none")


@pytest.mark.parametrize("part", ["short", "long"])
def test_raw_files_of_another_name_are_not_lost_from_the_dataset_unsaid(tmp_path, part):
    touched(
        tmp_path / "Sony", "short/10003_00_0.1s.ARW", "long/10003_00_10s.ARW", f"{part}/._10003_00_1s.ARW"
    )
    touched(tmp_path / "Sony", f"{part}/IMG_2.JPG", f"{part}/.DS_Store")
    assert len(find_sid(tmp_path)) == 1
    touched(tmp_path / "Sony", f"{part}/IMG_2.ARW")
    with pytest.raises(DatasetError, match=rf"{part}: IMG_2\.ARW is not named like"):
        find_sid(tmp_path)


def test_the_ratio_counts_exposure_and_iso(tmp_path):
    short = shot(tmp_path / "a.dng", exposure_s=0.1, iso=1600)
    long = shot(tmp_path / "b.dng", exposure_s=10, iso=400)
    assert ratio_of(short, long) == pytest.approx(25)
    with pytest.raises(DatasetError, match="exposed less"):
        ratio_of(long, short)
    (tmp_path / "c.dng").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"c\.dng"):
        ratio_of(tmp_path / "c.dng", long)


@pytest.mark.parametrize("head", ["rating", "Bemerkung", "lens", "seen", "exposure", "", "station"])
def test_a_table_may_hold_its_owner_s_notes(tmp_path, head):
    found = table_of(tmp_path, f"short,long,{head},ratio,\ns0.dng,l0.dng,{head},8,,\n")
    assert found == [("s0.dng", "l0", "train")]


def test_a_table_names_pairs_ratios_scenes_and_splits(tmp_path):
    shot(tmp_path / "night" / "a.dng", exposure_s=0.1)
    shot(tmp_path / "night" / "b.dng", exposure_s=0.2)
    for name in ("tripod.dng", "window.dng"):
        shot(tmp_path / name, exposure_s=10, ratio=1)
    (tmp_path / "pairs.csv").write_text(
        "short,long,ratio,scene,split\n"
        "night/a.dng,tripod.dng,64,room,test\n"
        "night/b.dng,window.dng,,,validation\n",
        encoding="utf-8-sig",
    )
    first, second = find_pairs(tmp_path)
    assert (first.ratio, first.scene, first.split) == (64, "room", "test")
    assert (second.ratio, second.scene, second.split) == (pytest.approx(50), "window", "validation")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("a,b\n1,2\n", "columns short and long, and has a, b"),
        ("", "and has none"),
        ("short,long\na.dng\n", "line 2: nothing is given for long"),
        ("short,long\n,a.dng\n", "line 2: nothing is given for short"),
        (
            "short;long;ratio\na.dng;b.dng;2,5\n",
            "line 2: ratio '2,5' must be a number from 1 up, such as 2.5",
        ),
        ("short,long\n", "columns short and long"),
        ("short,long\nnone.dng,a.dng\n", r"line 2: .*none\.dng is not there"),
        ("short,long,ratio\na.dng,b.dng,much\n", "line 2: ratio 'much'"),
        ("short,long,ratio\na.dng,b.dng,0.5\n", "line 2: ratio '0.5'"),
        ("short,long,split\na.dng,b.dng,later\n", "line 2: split 'later'"),
        (
            "short,long,Splits,note\na.dng,b.dng,test,\n",
            "column 'splits' seems to be meant for 'split'.*known are",
        ),
        ("short;long;ratoi\na.dng;b.dng;30\n", "column 'ratoi' seems to be meant for 'ratio'"),
        ("short,long,Szene\na.dng,b.dng,x\n", "column 'szene' seems to be meant for 'scene'"),
        ("short,short,long\na.dng,a.dng,b.dng\n", "column short twice"),
        ("short,long\na.dng,b.dng,30\n", "line 2: '30' stands in no column"),
        ("short,long,ratio\na.dng,b.dng,30,5\n", "line 2: '5' stands in no column.*quotes"),
        ("short,long,,ratio\na.dng,b.dng,mine,3\n", "line 2: 'mine' stands in no column"),
        ("short,long\na.dng,./a.dng\n", r"line 2: a\.dng is given as short and as long"),
    ],
)
def test_a_table_with_a_mistake_is_refused_by_its_line(tmp_path, table, words):
    shot(tmp_path / "a.dng", exposure_s=0.1)
    shot(tmp_path / "b.dng", exposure_s=1)
    (tmp_path / "pairs.csv").write_text(table)
    with pytest.raises(DatasetError, match=words):
        find_pairs(tmp_path)


def test_all_bad_files_are_named_at_once(tmp_path):
    good = shot(tmp_path / "good.dng", exposure_s=0.1)
    cut = tmp_path / "cut.dng"
    cut.write_bytes(good.read_bytes()[:5000])
    text = tmp_path / "text.dng"
    text.write_text("no picture")
    check([good, good])
    with pytest.raises(DatasetError) as caught:
        check([good, cut, text, tmp_path / "gone.dng"])
    assert all(name in str(caught.value) for name in ("cut.dng", "text.dng", "gone.dng"))
    assert "good.dng" not in str(caught.value)


def test_a_miniature_is_read_like_the_dataset(mini):
    pairs = find_sid(mini)
    assert {p.split for p in pairs} == set(SPLITS)
    assert {p.ratio for p in pairs} >= {100, 250}
    by_scene = {s: [p for p in pairs if p.scene == s] for s in {p.scene for p in pairs}}
    assert len(by_scene) == 5
    assert all(len({(p.frame, p.ratio) for p in scene}) >= 2 for scene in by_scene.values())
    assert "10003_00_0.04s" in [p.name for p in pairs]
    assert [p.name for p in find_sid(mini, "Fuji")] == [p.name for p in pairs]
    assert sid_folder(mini, "Fuji") == mini / "Fuji"
    check(f for p in pairs for f in (p.short, p.long))
    for pair in pairs:
        short, long = read(pair.short), read(pair.long)
        assert short.data.shape == long.data.shape == SIZE
        assert short.iso == long.iso
        assert min(ratio_of(pair.short, pair.long), 300) == pytest.approx(pair.ratio, rel=1e-3)
        assert short.wb == pytest.approx(long.wb)
        assert "no camera" in str(short.exif.main[0x010E])


def test_a_miniatures_files_say_what_the_real_ones_say(mini):
    known = {s.long[:5]: s for scenes in load_scenes().values() for s in scenes}
    for pair in find_sid(mini):
        long = read(pair.long)
        scene = known[pair.scene]
        assert long.iso == scene.iso
        assert long.exposure_s == pytest.approx(scene.exposure_s)
        assert long.wb == pytest.approx(scene.wb, rel=1e-5)
        assert (long.make, long.model) == ("SONY", "ILCE-7SM2")
        assert (long.black == 512).all()


def test_a_miniatures_short_frame_is_the_long_one_dimmed_with_a7s2_noise(tmp_path):
    write_miniature(tmp_path / "sid", scenes=3, size=(384, 512))
    pair = next(p for p in find_sid(tmp_path / "sid") if p.ratio == 100)
    short, long = read(pair.short), read(pair.long)
    dark, light = (float(np.mean(m.data)) - 512 for m in (short, long))
    assert light / dark == pytest.approx(100, rel=0.05)
    fit, true = blind_fit(short), sony_a7s2(short.iso).noise_profile()
    level = np.array(dark / (16383 - 512))
    assert fit.variance(level, 1) == pytest.approx(true.variance(level, 1), rel=0.35)
    fuji = read(next((tmp_path / "sid" / "Fuji" / "long").iterdir()))
    assert len(fuji.cfa) == 6
    assert (fuji.black == 1024).all()


@pytest.mark.parametrize("camera", ["Sony", "Fuji"])
def test_nothing_is_odd_about_right_pairs_and_wrong_ones_are_told(tmp_path_factory, camera):
    folder = tmp_path_factory.getbasetemp() / "larger"
    if not folder.exists():
        write_miniature(folder, scenes=6, size=(240, 360), seed=1)
    pairs = find_sid(folder, camera)
    longs = {pair.scene: read(pair.long) for pair in pairs}
    told = 0
    for pair in pairs:
        short, long = glance_at(read(pair.short)), longs[pair.scene]
        assert odd_frames(pair, short, glance_at(long)) == []
        for kind in ("linear", "srgb"):
            truth = libraw_truth(pair.long, kind)
            assert (
                odd_frames(pair, short, glance_truth(truth, len(long.cfa), 1, is_light=kind == "linear"))
                == []
            )
        moved = long.with_changes(data=np.roll(long.data, (36, 36), (0, 1)))
        other = next(scene for scene in reversed(longs) if scene != pair.scene)
        beside, wrong = (odd_frames(pair, short, glance_at(mosaic)) for mosaic in (moved, longs[other]))
        bright = long.with_changes(data=np.where(np.arange(360) < 200, long.saturation, long.data))
        (words,) = odd_frames(pair, short, glance_at(bright))
        assert "56% of the long frame" in words
        if wrong:  # where the short frame is more than noise
            told += 1
            assert "something else" in wrong[0]
            assert "pixels beside" in beside[0]
    assert told > len(pairs) / 2


@pytest.mark.parametrize("signal", [0.1, 0.3, 1])
@pytest.mark.parametrize("own", ["rows", "columns", "both", "a corner", "an edge", "columns and an edge"])
def test_what_a_sensor_adds_of_its_own_to_a_dim_frame_is_no_other_scene(mini, signal, own):
    rng = np.random.default_rng(5)
    for pair in [p for p in find_sid(mini, "Sony") if p.ratio == 100][:4]:
        long = read(pair.long)
        light = np.asarray(long.data, np.float64) - 512
        down, right = (np.arange(n) / n for n in light.shape)
        added = {
            "rows": rng.normal(0, 10, (len(down), 1)),
            "columns": rng.normal(0, 10, len(right)),
            "both": rng.normal(0, 5, (len(down), 1)) + rng.normal(0, 5, len(right)),
            "a corner": 5 * np.exp(-np.hypot(*np.meshgrid(right, down)) / 0.3),
            "an edge": 5 * np.exp(-down / 0.2)[:, None],
            "columns and an edge": 5 * np.exp(-down / 0.2)[:, None] + rng.normal(0, 5, len(right)),
        }[own]
        dim = 512 + light * (signal / light.mean()) + rng.normal(0, 5, light.shape) + added
        short = long.with_changes(data=np.clip(dim.round(), 0, 16383).astype(np.uint16))
        true = replace(pair, short=Path("a.dng"), long=Path("b.dng"), ratio=light.mean() / signal)
        assert odd_frames(true, glance_at(short), glance_at(long)) == []


@pytest.mark.parametrize("ratio", [30, 300])
def test_a_ratio_that_is_not_what_the_frames_show_is_told(photo, rng, ratio):
    short = glance_at(expose(photo, sony_a7s2(1600), ratio, rng))
    taken = expose(photo, sony_a7s2(100), 1, rng)
    # A lamp that is on in the long frame alone.
    data = taken.data.copy()
    data[20:32, 20:32] = taken.saturation
    long = glance_at(taken.with_changes(data=data))
    for told in (ratio * 3, ratio / 3, ratio * 1.2, ratio / 1.2, ratio):
        notes = odd_frames(Pair(Path("a.dng"), Path("b.dng"), told, "s", "test"), short, long)
        if 1 / 1.5 < told / ratio < 1.5:
            assert notes == []
        else:
            (words,) = notes
            assert float(words.split(" is x")[1].split()[0]) == pytest.approx(ratio, rel=0.1)
            assert f"x{told:g} by exposure time" in words


def test_the_dataset_s_ratio_is_cut_at_300_and_no_pair_is_odd_for_it(photo, rng):
    short, long = (glance_at(expose(photo, sony_a7s2(800), times, rng)) for times in (750, 1))
    names = (Path("10003_00_0.04s.ARW"), Path("10003_00_30s.ARW"))
    assert odd_frames(Pair(*names, 300.0, "10003", "test"), short, long) == []
    # What pairs.csv says of files of such names counts, be it right or wrong.
    assert odd_frames(Pair(Path("10003_00_1s.ARW"), names[1], 750.0, "10003", "test"), short, long) == []
    (words,) = odd_frames(Pair(*names, 100.0, "10003", "test"), short, long)
    assert "x100 by exposure time" in words


def test_nothing_is_said_of_the_light_where_the_short_frame_has_lost_half_of_its_noise(photo, rng):
    sensor = replace(sony_a7s2(3200), black_dn=(0.0,) * 4)
    short, long = (glance_at(expose(photo, sensor, times, rng)) for times in (300, 1))
    assert odd_frames(Pair(Path("a.dng"), Path("b.dng"), 100.0, "s", "test"), short, long) == []


@pytest.mark.filterwarnings("error")
def test_frames_of_one_value_and_of_less_than_a_block_are_not_odd(mini):
    pair = find_sid(mini, "Sony")[0]
    long = read(pair.long)
    for value in (512, 513, 600, 601):
        short = long.with_changes(data=np.full_like(long.data, value))
        assert odd_frames(pair, glance_at(short), glance_at(long)) == []
    for shape in ((0, 0), (0, 64), (6, 64), (8, 8)):
        tiny = glance(long.data[: shape[0], : shape[1]], 2, 512, 16383, 16383)
        truth = glance_truth(np.zeros((*shape, 3), np.uint16), 2, 1, is_light=True)
        assert odd_frames(pair, tiny, tiny) == odd_frames(pair, tiny, truth) == []


def test_a_file_exposed_otherwise_than_its_name_says_is_told(mini):
    pair = find_sid(mini)[0]
    said = parse_sid_name(pair.short.name).exposure_s
    assert odd_times(pair, said * 1.1, None) == []
    for seconds in (said * 2, said / 2):
        (words,) = odd_times(pair, seconds, 10)
        assert words.startswith(f"{pair.short.name} was exposed for {seconds:g} s")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(mini, tmp_path):
    for seed in (3, 4):
        write_miniature(tmp_path / str(seed), scenes=5, size=SIZE, seed=seed)
    files = sorted(p.relative_to(mini) for p in mini.rglob("*.*") if p.suffix != ".txt")
    assert len(files) == 40
    assert all((mini / f).read_bytes() == (tmp_path / "3" / f).read_bytes() for f in files)
    assert not any((mini / f).read_bytes() == (tmp_path / "4" / f).read_bytes() for f in files)


@settings(max_examples=20)
@given(count=st.integers(3, 12))
def test_every_split_has_scenes_however_few_are_made(count):
    known = load_scenes()
    chosen = choose(known, count)
    assert len(chosen) == len({s.long for s in chosen}) == count
    assert {s.split for s in chosen} == set(SPLITS)


def test_too_few_or_too_many_scenes_are_refused():
    for count in (0, 2, 13):
        with pytest.raises(SettingsError, match="from 3"):
            choose(load_scenes(), count)


def test_no_photo_is_in_two_splits(mini):
    lines = [line.split() for line in (mini / "README.txt").read_text().splitlines() if ".jpg" in line]
    assert len(lines) == 5
    splits_of = {line[-1]: {x[1] for x in lines if x[-1] == line[-1]} for line in lines}
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert "too few photos" not in (mini / "README.txt").read_text()


def test_one_small_photo_is_enough_and_is_mirrored(tmp_path, mini):
    photos = tmp_path / "photos"
    photos.mkdir()
    source = Path(str(miniature.files("scotopic.evaluate") / "held_out" / "18f-site__eiti1.jpg"))
    shutil.copy(source, photos)
    write_miniature(tmp_path / "sid", scenes=3, size=(600, 64), photos=photos)
    assert read(find_sid(tmp_path / "sid")[0].short).data.shape == (600, 64)
    assert "too few photos" in (tmp_path / "sid" / "README.txt").read_text()


def test_a_longer_table_of_scenes_is_taken_and_a_wrong_one_refused(tmp_path):
    table = json.loads(Path(str(miniature.files("scotopic.data") / "sid_scenes.json")).read_text())
    table["splits"]["train"] = table["splits"]["train"][1:2]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table))
    assert [s.long for s in load_scenes(path)["train"]] == ["00012_00_10s"]
    table["splits"]["test"] = table["splits"]["train"]
    for wrong in (json.dumps(table), "{}", "nonsense", '{"splits": {"train": [{}]}}'):
        path.write_text(wrong)
        with pytest.raises(DatasetError, match="no table of scenes"):
            load_scenes(path)


def test_true_exposures_are_kept_though_names_round_them():
    ratios = [
        r for s in load_scenes()["train"] for n, r in zip(s.short, s.ratios, strict=True) if "0.033" in n
    ]
    assert ratios
    assert set(ratios) == {300}


def test_scenes_below_the_calibrated_iso_keep_their_own(tmp_path, monkeypatch):
    known = {k: [replace(s, iso=64) for s in v[:1]] for k, v in load_scenes().items()}
    monkeypatch.setattr(miniature, "load_scenes", lambda _: known)
    write_miniature(tmp_path / "sid", scenes=3, size=SIZE)
    assert read(find_sid(tmp_path / "sid")[0].short).iso == 64


def test_nothing_is_overwritten_unasked_and_never_what_is_not_ours(tmp_path):
    folder = tmp_path / "sid"
    folder.mkdir()
    write_miniature(folder, scenes=3, size=SIZE)
    before = sorted(folder.rglob("*"))
    with pytest.raises(FileExistsRefusal, match="use --overwrite"):
        write_miniature(folder, scenes=4, size=SIZE)
    assert sorted(folder.rglob("*")) == before
    write_miniature(folder, scenes=4, size=SIZE, overwrite=True)
    assert len(sorted(folder.rglob("*"))) > len(before)
    (folder / "mine.txt").touch()
    with pytest.raises(FileExistsRefusal, match="something else"):
        write_miniature(folder, scenes=3, size=SIZE, overwrite=True)
    real = tmp_path / "real"
    touched(real, "Sony/short/00001_00_0.1s.ARW")
    with pytest.raises(FileExistsRefusal, match="something else"):
        write_miniature(real, scenes=3, size=SIZE, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["real", "sid"]


def test_nothing_is_left_where_it_fails(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="even numbers"):
        write_miniature(tmp_path / "a", scenes=3, size=(65, 128))
    with pytest.raises(DatasetError, match="no photos"):
        write_miniature(tmp_path / "a", scenes=3, size=SIZE, photos=tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("no photo")
    with pytest.raises(DatasetError, match=r"a\.jpg"):
        write_miniature(tmp_path / "a", scenes=3, size=SIZE, photos=tmp_path / "photos")
    written = []

    def full(path, mosaic):
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        write_mosaic(path, mosaic)

    monkeypatch.setattr(miniature, "write_mosaic", full)
    with pytest.raises(WriteError, match="No space left"):
        write_miniature(tmp_path / "a", scenes=3, size=SIZE)
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_the_command_line_makes_a_miniature(tmp_path):
    def run(*words: str):
        return CliRunner().invoke(app, ["simulate", "sid", str(tmp_path / "sid"), *words])

    done = run("--scenes", "3", "--size", "64x96", "--seed", "1")
    assert done.exit_code == 0, done.output
    assert {p.split for p in find_sid(tmp_path / "sid")} == set(SPLITS)
    assert run("--scenes", "3", "--size", "64x96").exit_code == 1
    assert run("--scenes", "3", "--size", "64x96", "--overwrite").exit_code == 0
    for wrong in (["--size", "64"], ["--size", "0x64"], ["--scenes", "2"]):
        assert run(*wrong, "--overwrite").exit_code == 2
