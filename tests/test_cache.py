"""The cache of decoded pairs, turns that keep the mosaic's pattern, and what training draws from both."""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dng_files
from conftest import BAYER_PHASES, camera_profile
from scotopic.calibration.apply import Profiles, among, identity
from scotopic.colour import CAMERA_MATRICES, camera_to_srgb
from scotopic.data.pairs import Pair
from scotopic.dng.write import write_mosaic
from scotopic.enhance import graph_inputs, plan
from scotopic.errors import DatasetError, DiskFullError, SettingsError
from scotopic.evaluate.scenes import find_all
from scotopic.frame import RGGB, X_TRANS, Mosaic
from scotopic.models import sha256
from scotopic.noise import estimate
from scotopic.read import libraw_truth, read
from scotopic.sensor.pattern import PATTERNS, offset
from scotopic.sensor.simulated import Sensor, expose, sony_a7s2
from scotopic.train import cache
from scotopic.train.augment import TURNS, drawn, laid, places, shift, turned, turns_of
from scotopic.train.cache import FORMAT, PairCache
from scotopic.train.cache_check import KEPT_EVERY

CFAS = [p.cfa for p in PATTERNS]

LSB = 1 / 65535


def sampled(truth: npt.NDArray, cfa) -> npt.NDArray:
    """What a sensor of this pattern sees of (H, W, 3)."""
    height, width = truth.shape[:2]
    cell = len(cfa)
    colours = np.tile(np.array(cfa), (-(-height // cell), -(-width // cell)))[:height, :width]
    return np.take_along_axis(truth, colours[..., None], axis=2)[..., 0]


def scene_of(height: int, width: int, seed: int = 0) -> npt.NDArray:
    """Smooth light with colours, 0.05 to 0.9."""
    y, x = np.mgrid[:height, :width] / 40
    waves = np.stack([np.sin(y + seed), np.cos(x + 2 * seed), np.sin(x + y)], axis=-1)
    return 0.475 + 0.42 * waves


def pair_in(
    folder: Path,
    *,
    size: tuple[int, int] = (96, 128),
    scene: str = "00001",
    frame: str = "00",
    split="train",
    cfa=RGGB,
    ratio: float = 100,
    noisy: bool = True,
    sensor: Sensor | None = None,
    light: npt.NDArray | None = None,
) -> Pair:
    """A short and a long frame on disk."""
    sensor = sensor or sony_a7s2(800)
    light = scene_of(*size, seed=int(scene)) if light is None else light
    paths = [folder / f"{scene}_{frame}_short.dng", folder / f"{scene}_long.dng"]
    for path, times in zip(paths, (ratio, 1), strict=True):
        if not path.exists():
            rng = np.random.default_rng([int(scene), int(frame), int(times)])
            write_mosaic(path, expose(light, sensor, times, rng, cfa=cfa, noisy=noisy))
    return Pair(*paths, ratio, scene, split, frame)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> list[Pair]:
    folder = tmp_path_factory.mktemp("pairs")
    kinds = [("00001", "00"), ("00001", "01"), ("00002", "00"), ("20001", "00")]
    return [
        pair_in(folder, scene=s, frame=f, split="validation" if s[0] == "2" else "train") for s, f in kinds
    ]


# Truth


@pytest.mark.parametrize("cfa", [*BAYER_PHASES, X_TRANS])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_linear_truth_is_the_mosaic_where_it_has_the_colour(tmp_path, cfa, orientation, rng):
    data = rng.integers(300, 12_000, (61, 75)).astype(np.uint16)
    black = np.full((len(cfa),) * 2, 512.0)
    mosaic = Mosaic(
        data=data,
        cfa=cfa,
        black=black,
        white=16383.0,
        saturation=16383.0,
        wb=(2.0, 1.0, 1.6),
        xyz_to_camera=np.array(CAMERA_MATRICES["Sony ILCE-7SM2"]),
        orientation=orientation,
    )
    write_mosaic(tmp_path / "a.dng", mosaic)
    truth = libraw_truth(tmp_path / "a.dng", "linear")
    assert truth.shape == (61, 75, 3)
    x = np.clip((data - 512.0) / (16383 - 512), 0, 1)
    inner = (slice(8, -8), slice(8, -8))  # LibRaw fills the border from its neighbours
    assert np.abs(sampled(truth * LSB, cfa) - x)[inner].max() < 2 * LSB
    assert libraw_truth(tmp_path / "a.dng", "srgb").shape == truth.shape


def test_a_flat_patch_is_its_share_of_white_however_dark_the_picture(tmp_path):
    for level in (0.01, 0.3, 0.9):
        scene = np.full((64, 64, 3), level)
        scene[-3:, ::3] *= 0.9  # a picture whose last rows repeat would be taken for cut short
        mosaic = expose(scene, sony_a7s2(100), 1, np.random.default_rng(0), noisy=False)
        write_mosaic(tmp_path / f"{level}.dng", mosaic)
        truth = libraw_truth(tmp_path / f"{level}.dng", "linear") * LSB * np.array(mosaic.wb)
        assert truth[20:40, 20:40] == pytest.approx(level, abs=2 / 15871)


def test_what_is_learnt_of_a_frame_with_maps_against_shading_lies_over_its_mosaic(tmp_path):
    """The network sees the mosaic as it was counted; what a lens does is evened out behind it."""
    data = np.linspace(1000, 9000, 96 * 128).reshape(96, 128).astype(np.uint16)
    maps = dng_files.gain_map(np.array([[[1.0], [2.0]]]), (0, 0, 96, 128), pitch=(1, 1))
    tags = {50714: 512, 50717: 16383, 51009: dng_files.opcode_list(maps)}
    path = dng_files.write(tmp_path / "a.dng", data, tags=tags)
    assert read(path).shading is not None
    other = dng_files.write(tmp_path / "b.dng", data, tags=tags)
    known = PairCache.open([Pair(path, other, 1, "00001", "train")], tmp_path, truth="linear")
    counted, truth = known.crop(0, 0, 0, 96, 128)
    light = np.clip((counted - 512.0) / (16383 - 512), 0, 1)
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(sampled(truth * LSB, RGGB) - light)[inner].max() < 2 * LSB


def test_the_papers_truth_is_display_white_where_the_scene_is(tmp_path):
    scene = np.full((64, 64, 3), 1.02)
    scene[32:, ::3] = 0.2
    write_mosaic(tmp_path / "a.dng", expose(scene, sony_a7s2(100), 1, np.random.default_rng(0)))
    shown = libraw_truth(tmp_path / "a.dng", "srgb")
    assert shown.dtype == np.uint16
    assert (shown[8:24, 8:24] > 64_000).all()


# The cache


def test_a_cache_holds_the_mosaics_the_truths_and_what_is_known(pairs, tmp_path):
    linear = PairCache.open(pairs, tmp_path, truth="linear")
    shown = PairCache.open(pairs, tmp_path, truth="srgb")
    for i, pair in enumerate(pairs):
        mosaic, entry = read(pair.short), linear.entries[i]
        got, truth = linear.crop(i, 0, 0, 96, 128)
        assert np.array_equal(got, mosaic.data)
        assert np.array_equal(truth, libraw_truth(pair.long, "linear"))
        assert np.array_equal(shown.crop(i, 0, 0, 96, 128)[1], libraw_truth(pair.long, "srgb"))
        assert (entry.name, entry.scene, entry.frame) == (pair.name, pair.scene, pair.frame)
        assert (entry.ratio, entry.split, entry.cfa) == (pair.ratio, pair.split, RGGB)
        assert (entry.height, entry.width) == (96, 128)
        assert (entry.black, entry.white, entry.saturation) == ((512,) * 4, 16383, mosaic.saturation)
        assert entry.wb == mosaic.wb
        profile = estimate(mosaic).profile
        assert (entry.shot, entry.read) == (profile.shot, profile.read)
        assert np.allclose(entry.xyz_to_camera, mosaic.xyz_to_camera)
    assert linear.scenes("train") == [[0, 1], [2]]
    assert linear.scenes("validation") == [[3]]
    assert linear.scenes("test") == []


def test_a_cache_holds_what_enhancing_shows_the_network(tmp_path):
    cut = replace(sony_a7s2(12800), black_dn=(0.0,) * 4, hot_share=1e-3)
    pair = pair_in(tmp_path, size=(256, 256), sensor=cut)
    photo = read(pair.short)
    data = photo.data.copy()
    data[:, 100] += 4000
    write_mosaic(pair.short, photo.with_changes(data=data))
    photo = read(pair.short)
    cache = PairCache.open([pair], tmp_path / "cache", truth="linear")
    made, entry, (got, _) = plan(photo, ratio=100), cache.entries[0], cache.crop(0, 0, 0, 256, 256)
    assert made.replaced.facts()["columns_off"] == [100]
    assert made.replaced.hot > 20
    assert (entry.shot, entry.read) == (made.noise.profile.shot, made.noise.profile.read)
    seen = made.mosaic_of(photo).data
    assert seen.min() < 0, "it is spread below black, which whole numbers do not hold"
    assert np.abs(got - np.maximum(seen, 0)).max() <= 0.5
    assert (got[photo.data == 0] == 0).mean() > 0.99


def test_black_that_is_stated_too_high_is_as_low_in_a_cache_as_enhancing_takes_it(tmp_path):
    pair = pair_in(tmp_path, size=(512, 512), sensor=sony_a7s2(12800))
    photo = read(pair.short)
    write_mosaic(pair.short, photo.with_changes(black=photo.black + 20))
    photo = read(pair.short)
    made = plan(photo, ratio=100)
    assert made.black_lowered is not None
    (entry,) = PairCache.open([pair], tmp_path / "cache", truth="linear").entries
    assert list(entry.black) == made.mosaic_of(photo).black.ravel().tolist()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_crop_is_that_part_of_the_whole(pairs, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "crops"
    cache = PairCache.open(pairs[:1], folder, truth="linear")
    top, left = data.draw(st.integers(0, 40)) * 2, data.draw(st.integers(0, 50)) * 2
    height, width = data.draw(st.integers(1, 96 - top)), data.draw(st.integers(1, 128 - left))
    mosaic, truth = cache.crop(0, top, left, height, width)
    whole, whole_truth = cache.crop(0, 0, 0, 96, 128)
    assert np.array_equal(mosaic, whole[top : top + height, left : left + width])
    assert np.array_equal(truth, whole_truth[top : top + height, left : left + width])
    assert type(mosaic) is type(truth) is np.ndarray
    assert mosaic.base is None


def test_short_frames_are_put_right_by_their_camera_s_profile_and_again_where_it_is_another(tmp_path):
    pair = pair_in(tmp_path)
    photo = read(pair.short)
    camera = (photo.make, photo.model)
    mine = camera_profile((800.0,), shape=(96, 128), black=2.0, camera=camera)
    known = Profiles((mine, camera_profile()))
    said: list[str] = []

    def opened(profiles, **how) -> npt.NDArray:
        said.clear()
        filled = PairCache.open(
            [pair], tmp_path / "cache", truth="linear", report=said.append, profiles=profiles, **how
        )
        return filled.crop(0, 0, 0, 96, 128)[0]

    bare, with_mine = opened(None), opened(known)
    made = plan(photo, ratio=1, profiles=known)
    assert np.array_equal(with_mine, np.rint(np.maximum(made.mosaic_of(photo).data, 0)))
    assert not np.array_equal(bare, with_mine)
    assert [words for words in said if "profile" in words] == [
        f"{pair.short.name}: its camera's profile is another one now, decoded again",
        f"1 of 1 short frames are put right by your profile of the {identity(mine)}",
    ]
    assert identity(mine) in (tmp_path / "cache" / "index.json").read_text()
    # What is installed of other cameras changes nothing.
    assert np.array_equal(opened(Profiles((mine,))), with_mine)
    assert not any("decoded" in words for words in said)
    assert np.array_equal(opened(None, keep=True), with_mine)
    assert np.array_equal(opened(None), bare)


def test_what_a_profile_lifts_above_16_bits_stays_white(tmp_path):
    pair = pair_in(tmp_path, ratio=2, sensor=replace(sony_a7s2(100), white_dn=65535))
    photo = read(pair.short)
    pair.short.unlink()
    data = np.full_like(photo.data, 65535)
    data[:32] = 65532
    write_mosaic(pair.short, photo.with_changes(data=data))
    profile = camera_profile(
        (photo.iso,), shape=photo.data.shape, black=-6.0, camera=(photo.make, photo.model)
    )
    profile = replace(profile, white_dn=65535.0)
    cache = PairCache.open([pair], tmp_path / "cache", truth="linear", profiles=Profiles((profile,)))
    mosaic, _ = cache.crop(0, 0, 0, 32, 32)
    assert mosaic.min() == 65535


def test_a_profile_that_was_named_and_serves_no_pair_is_told(tmp_path):
    said: list[str] = []
    PairCache.open(
        [pair_in(tmp_path)],
        tmp_path / "cache",
        truth="linear",
        report=said.append,
        profiles=among(camera_profile()),
    )
    assert any("profile is of another camera (Simulated One)" in words for words in said)


@pytest.mark.parametrize(
    "place", [(1, 0, 8, 8), (0, 1, 8, 8), (-2, 0, 8, 8), (90, 0, 8, 8), (0, 0, 8, 130)]
)
def test_a_crop_off_the_cells_or_the_picture_is_refused(pairs, tmp_path_factory, place):
    cache = PairCache.open(pairs[:1], tmp_path_factory.getbasetemp() / "crops", truth="linear")
    with pytest.raises(DatasetError, match="does not lie on whole cells"):
        cache.crop(0, *place)


@pytest.mark.parametrize("cfa", [*BAYER_PHASES, X_TRANS])
def test_every_phase_is_cut_to_ours_and_its_truth_with_it(tmp_path, cfa):
    black = (511.0, 512.0, 513.0, 514.0) if len(cfa) == 2 else (512.0,) * 4
    sensor = replace(sony_a7s2(100), black_dn=black)
    turned_cfa = tuple(map(tuple, np.roll(cfa, (1, 2), axis=(0, 1)))) if len(cfa) == 6 else cfa
    pair = pair_in(tmp_path, cfa=turned_cfa, ratio=2, noisy=False, sensor=sensor, size=(97, 121))
    cache = PairCache.open([pair], tmp_path / "cache", truth="linear")
    entry = cache.entries[0]
    cell = len(cfa)
    start = offset(turned_cfa, entry.cfa)
    assert entry.cfa in CFAS
    assert entry.height % cell == entry.width % cell == 0
    assert entry.height > 97 - 2 * cell
    mosaic, truth = cache.crop(0, 0, 0, entry.height, entry.width)
    whole = read(pair.short)
    assert mosaic[0, 0] == whole.data[start]
    if cell == 2:
        assert entry.black == tuple(
            whole.black[(start[0] + y) % 2, (start[1] + x) % 2] for y in (0, 1) for x in (0, 1)
        )
        black_of = np.tile(np.reshape(entry.black, (2, 2)), (entry.height // 2, entry.width // 2))
    else:
        assert entry.black == (512,) * 3
        black_of = np.full(mosaic.shape, 512.0)
    x = (mosaic - black_of) / (entry.white - black_of)
    off = np.abs(2 * x - sampled(truth * LSB, entry.cfa))[8:-8, 8:-8]
    assert off.max() < 6 / 15_871  # rounding, and LibRaw's one span for all blacks


def test_what_is_there_is_kept_and_only_new_files_are_decoded(pairs, tmp_path):
    def said_by(chosen, **more) -> list[str]:
        said: list[str] = []
        PairCache.open(chosen, tmp_path, truth="linear", report=said.append, **more)
        return said

    assert len([s for s in said_by(pairs[:2]) if s.startswith("decoded")]) == 3
    assert said_by(pairs[:2]) == said_by(pairs[:2], verify=True) == []
    assert len([s for s in said_by(pairs) if s.startswith("decoded")]) == 4
    assert sorted(p.suffix for p in tmp_path.iterdir() if p.name != ".lock") == [".json"] + [".npy"] * 7
    status = pairs[0].short.stat()
    os.utime(pairs[0].short, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    said = said_by(pairs)
    assert "was changed since" in said[0]
    assert len([s for s in said if s.startswith("decoded")]) == 1


def rot(path: Path) -> None:
    """What only a checksum shows: another bit, the same time."""
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("harm", "words", "cheap"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-7]), "bytes long instead of", True),
        (lambda p: p.write_bytes(b"\0" * p.stat().st_size), "cannot be read", True),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"<u2", b"<i2", 1)), "another header", True),
        (lambda p: p.write_bytes(p.read_bytes()[:-1] + b"\xff"), "another checksum", True),
        (lambda p: rot(p), "another checksum", False),
        (lambda p: p.unlink(), "is gone", True),
    ],
)
def test_a_damaged_array_is_told_and_decoded_again(pairs, tmp_path, harm, words, cheap):
    cache = PairCache.open(pairs[:1], tmp_path, truth="linear")
    before = cache.crop(0, 0, 0, 96, 128)
    for path in sorted(tmp_path.glob("*.npy")):
        harm(path)
        said: list[str] = []
        PairCache.open(pairs[:1], tmp_path, truth="linear", report=said.append)
        assert bool(said) == cheap
        mended = PairCache.open(pairs[:1], tmp_path, truth="linear", report=said.append, verify=True)
        assert path.name in said[0]
        assert words in said[0]
        assert all(np.array_equal(a, b) for a, b in zip(mended.crop(0, 0, 0, 96, 128), before, strict=True))


def test_a_cache_of_before_is_read_once_and_kept(pairs, tmp_path, monkeypatch):
    PairCache.open(pairs, tmp_path, truth="linear")
    index = json.loads((tmp_path / "index.json").read_text())
    for record in index["files"].values():
        del record["mtime_ns"], record["facts"]["exposure_s"]
        record.pop("beside", None)
    (tmp_path / "index.json").write_text(json.dumps(index))
    read: list[Path] = []
    monkeypatch.setattr(cache, "sha256", lambda path: read.append(path) or sha256(path))
    for count in (7, 0):
        read.clear()
        said: list[str] = []
        PairCache.open(pairs, tmp_path, truth="linear", report=said.append)
        assert len(read) == count
        assert not [words for words in said if "decoded" in words]


def test_a_full_disk_is_told_of_the_cache_and_leaves_no_part_of_a_file(pairs, tmp_path, monkeypatch):
    def no_room(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DiskFullError, match=rf"{tmp_path}.*make room"):
        PairCache.open(pairs[:1], tmp_path, truth="linear")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_an_odd_pair_is_told_whenever_a_cache_is_opened_and_looked_at_once(tmp_path, rng):
    tiled = [np.kron(rng.uniform(0.05, 0.9, (10, 14, 1)), np.ones((16, 16, 3))) for _ in range(3)]
    pairs = [pair_in(tmp_path, scene=f"0000{n}", light=light) for n, light in enumerate(tiled, 1)]
    wrong = [replace(pairs[0], long=pairs[2].long), pairs[1]]
    for compared in (1, 0):
        said: list[str] = []
        PairCache.open(wrong, tmp_path / "cache", truth="linear", report=said.append)
        notes = [words for words in said if words.startswith("note: ")]
        assert [note.split(": ")[1] for note in notes] == ["00001_00_short"]
        assert "something else" in notes[0]
        assert len([words for words in said if words.startswith("comparing")]) == compared


def test_what_was_seen_of_pairs_is_kept_though_the_comparing_is_broken_off(pairs, tmp_path, monkeypatch):
    PairCache.open(pairs[:1], tmp_path, truth="linear")
    monkeypatch.setattr("scotopic.train.cache_check.KEPT_EVERY", 1)
    seen = []

    def impatient(pair, *_frames):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(pair)
        return []

    monkeypatch.setattr("scotopic.train.cache_check.odd_frames", impatient)
    with pytest.raises(KeyboardInterrupt):
        PairCache.open(pairs, tmp_path, truth="linear")
    said: list[str] = []
    monkeypatch.undo()
    PairCache.open(pairs, tmp_path, truth="linear", report=said.append)
    assert f"comparing the frames of {len(pairs) - 3} pairs" in said


@pytest.mark.parametrize(
    "content", ["", "{", '{"files": {}}', json.dumps({"format": FORMAT + 1, "files": {}})]
)
def test_an_index_that_cannot_be_used_is_made_again(pairs, tmp_path, content):
    PairCache.open(pairs[:1], tmp_path, truth="linear")
    (tmp_path / "index.json").write_text(content)
    said: list[str] = []
    PairCache.open(pairs[:1], tmp_path, truth="linear", report=said.append)
    assert "everything is decoded again" in said[0]
    assert PairCache.open(pairs[:1], tmp_path, truth="linear", verify=True).entries


def test_a_cache_that_vanishes_in_use_is_an_error_of_ours(pairs, tmp_path):
    cache = PairCache.open(pairs[:1], tmp_path, truth="linear")
    for path in tmp_path.glob("*.npy"):
        path.unlink()
    with pytest.raises(DatasetError, match="open it again"):
        cache.crop(0, 0, 0, 8, 8)


def test_bad_files_are_all_named_before_anything_is_decoded(pairs, tmp_path):
    bad = [tmp_path / "cut.dng", tmp_path / "gone.dng"]
    bad[0].write_bytes(pairs[0].short.read_bytes()[:4000])
    wrong = [replace(pairs[0], short=bad[0]), replace(pairs[1], long=bad[1])]
    said: list[str] = []
    with pytest.raises(DatasetError) as caught:
        PairCache.open([*pairs, *wrong], tmp_path / "cache", truth="linear", report=said.append)
    assert all(p.name in str(caught.value) for p in bad)
    assert not [s for s in said if s.startswith("decoded")]
    with pytest.raises(DatasetError, match="at least one"):
        PairCache.open([], tmp_path / "cache", truth="linear")


def test_a_training_that_nothing_is_held_out_to_watch_by_says_so(torch, pairs, tmp_path):
    from scotopic.train.recipes import Recipe
    from scotopic.train.sources import Data, open_sources

    recipe = Recipe(crop=32, batch=1)
    for some, is_watched in ((pairs, True), (pairs[:2], False)):
        said: list[str] = []
        opened = open_sources(Data(some, []), recipe, tmp_path, torch.device("cpu"), said.append)
        assert bool(opened.validation) is is_watched
        assert ("nothing is left to watch this training by" in " ".join(said)) is not is_watched


def test_more_misfits_than_anybody_reads_are_counted(pairs, tmp_path):
    small = pair_in(tmp_path, size=(64, 64), scene="00007")
    wrong = [replace(pairs[0], long=small.long, scene=str(i)) for i in range(13)]
    with pytest.raises(DatasetError) as caught:
        PairCache.open(wrong, tmp_path / "cache", truth="linear")
    head, *lines = caught.value.lines
    assert head == "these pairs cannot be used:"
    assert (len(lines), lines[-1]) == (11, "(and 3 more)")


def test_frames_that_do_not_lie_over_each_other_are_refused(pairs, tmp_path):
    small = pair_in(tmp_path, size=(64, 64), scene="00007")
    phase = pair_in(tmp_path, scene="00008", cfa=BAYER_PHASES[1])
    wrong = [replace(pairs[0], long=small.long), replace(pairs[1], long=phase.long)]
    with pytest.raises(DatasetError) as caught:
        PairCache.open(wrong, tmp_path / "cache", truth="linear")
    assert "00007_long.dng: does not lie over 00001_00_short" in str(caught.value)
    assert "00008_long.dng: does not lie over 00001_01_short" in str(caught.value)


FILL = """
    import signal
    import sys
    from pathlib import Path
    from scotopic.data.pairs import find_pairs
    from scotopic.train.cache import PairCache

    signal.signal(signal.SIGINT, signal.default_int_handler)
    PairCache.open(
        find_pairs(Path(sys.argv[1])), Path(sys.argv[2]), truth="linear",
        report=lambda words: print(words, flush=True),
    )
"""


def python(script: str, *words: Path | str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(script), *map(str, words)]


@pytest.mark.parametrize(("number", "every"), [(signal.SIGINT, 1), (signal.SIGKILL, KEPT_EVERY)])
def test_a_filling_that_was_ended_goes_on_where_it_was_and_a_killed_one_some_files_before(
    tmp_path, number, every
):
    data = tmp_path / "data"
    for i in range(24):
        pair = pair_in(data_folder(data), scene=f"{i:05}")
        pair.short.rename(data / "short" / f"{i}.dng")
        pair.long.rename(data / "long" / f"{i}.dng")
    (data / "pairs.csv").write_text(
        "short,long,ratio\n" + "".join(f"short/{i}.dng,long/{i}.dng,100\n" for i in range(24))
    )
    cache = tmp_path / "cache"
    process = subprocess.Popen(
        python(FILL, data, cache), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    done = 0
    for line in process.stdout:
        done += line.startswith("decoded")
        if done == every + 1:
            process.send_signal(number)
            break
    done += sum(line.startswith("decoded") for line in process.stdout)
    assert process.wait() == -number
    assert every < done < 47
    (cache / ".scotopic-1-0123456789abcdef.part").write_bytes(b"what a kill may leave")
    again = subprocess.run(python(FILL, data, cache), stdout=subprocess.PIPE, text=True, check=True)
    decoded = [line for line in again.stdout.splitlines() if line.startswith("decoded")]
    # The last one may have been stored but not told.
    assert len(decoded) in {48 - told // every * every for told in (done, done + 1)}
    assert not [line for line in again.stdout.splitlines() if "again" in line]
    assert not list(cache.glob(".*.part"))
    last = subprocess.run(python(FILL, data, cache), stdout=subprocess.PIPE, text=True, check=True)
    assert last.stdout == ""


def data_folder(data: Path) -> Path:
    for part in ("short", "long"):
        (data / part).mkdir(parents=True, exist_ok=True)
    return data


READ = """
    import random
    import sys
    from pathlib import Path
    from scotopic.data.pairs import Pair
    from scotopic.train.cache import PairCache

    def status(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    pairs = [Pair(folder / f"{i}s.dng", folder / f"{i}l.dng", 2, f"{i:05}", "train") for i in range(count)]
    cache = PairCache.open(pairs, folder / "cache", truth="linear")
    draw = random.Random(0)
    before = status("VmRSS")
    for _ in range(400):
        cache.crop(draw.randrange(count), *(2 * draw.randrange(80) for _ in range(2)), 96, 96)
    print(status("VmHWM") - before, status("VmRSS") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by /proc")
def test_memory_does_not_grow_with_the_number_of_scenes(tmp_path):
    scenes, side = 40, 256
    rng = np.random.default_rng(0)
    base = expose(scene_of(side, side), sony_a7s2(800), 2, rng)
    for i in range(scenes):
        for part in "sl":
            data = np.roll(base.data, 2 * i, axis=0)
            write_mosaic(tmp_path / f"{i}{part}.dng", base.with_changes(data=data))
    pairs = [
        Pair(tmp_path / f"{i}s.dng", tmp_path / f"{i}l.dng", 2, f"{i:05}", "train") for i in range(scenes)
    ]
    PairCache.open(pairs, tmp_path / "cache", truth="linear")
    stored_kb = sum(p.stat().st_size for p in (tmp_path / "cache").glob("*.npy")) / 1024
    grown = {}
    for count in (4, scenes):
        done = subprocess.run(python(READ, tmp_path, count), stdout=subprocess.PIPE, text=True, check=True)
        grown[count] = [int(n) for n in done.stdout.split()]
    allowed_kb = 2 * 1024
    assert stored_kb > 10 * allowed_kb
    assert all(n < allowed_kb for n in grown[scenes])
    assert all(n - m < allowed_kb / 2 for n, m in zip(grown[scenes], grown[4], strict=True))


# Turns


@settings(max_examples=200, deadline=None)
@given(
    turn=st.sampled_from(TURNS),
    cfa=st.sampled_from(CFAS),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    more=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 999),
)
def test_after_every_turn_the_truth_still_lies_over_a_mosaic_of_the_same_pattern(
    turn, cfa, height, width, more, seed
):
    cell = len(cfa)
    rows, columns = drawn(turn, cfa, height, width)
    assert rows % cell == columns % cell == 0
    shape = (rows + more[0] * cell, columns + more[1] * cell, 3)
    truth = np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)
    mosaic, laid_truth = laid(sampled(truth, cfa), truth, turn, cfa, height, width)
    assert mosaic.shape == (height, width)
    assert laid_truth.shape == (height, width, 3)
    assert np.array_equal(sampled(laid_truth, cfa), mosaic)


@settings(max_examples=50, deadline=None)
@given(turn=st.sampled_from(TURNS), cfa=st.sampled_from(CFAS), cells=st.tuples(*[st.integers(1, 4)] * 2))
def test_what_is_known_by_place_goes_along_with_its_place(turn, cfa, cells):
    cell = len(cfa)
    by_place = np.arange(cell * cell)
    rows, columns = drawn(turn, cfa, *(n * cell for n in cells))
    laid_out = np.tile(by_place.reshape(cell, cell), (rows // cell, columns // cell))
    after, _ = laid(laid_out, laid_out, turn, cfa, *(n * cell for n in cells))
    wanted = np.tile(by_place[list(places(turn, cfa))].reshape(cell, cell), cells)
    assert np.array_equal(after, wanted)


def test_torch_and_numpy_turn_alike():
    torch = pytest.importorskip("torch", reason="torch is not installed (the train extra)")
    picture = np.arange(6 * 4 * 3).reshape(6, 4, 3)
    for turn in TURNS:
        assert np.array_equal(turned(torch.from_numpy(picture), turn).numpy(), turned(picture, turn))
        assert np.array_equal(
            turned(torch.from_numpy(picture[..., 0]), turn), turned(picture[..., 0], turn)
        )


def test_the_eight_turns_differ_and_both_patterns_bear_them_all():
    picture = np.arange(36).reshape(6, 6)
    assert len({turned(picture, turn).tobytes() for turn in TURNS}) == 8
    assert all(turns_of(cfa) == TURNS for cfa in CFAS)


def test_a_pattern_that_a_turn_would_break_is_found_out():
    lopsided = ((0, 0), (1, 2))
    transposition = TURNS[4]
    assert shift(transposition, lopsided) is None
    assert transposition not in turns_of(lopsided)
    with pytest.raises(SettingsError, match="does not keep the pattern"):
        drawn(transposition, lopsided, 4, 4)
    assert offset(lopsided, RGGB) is offset(RGGB, X_TRANS) is None


# Crops of pairs


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed (the train extra)")


def crops(torch, cache, split="train", crop=32):
    from scotopic.train.datasets import PairCrops

    return PairCrops(cache, split, crop, torch.device("cpu"))


def seeded(torch, seed: int):
    return torch.Generator().manual_seed(seed)


def test_a_batch_of_pairs_hangs_on_its_generator_alone(torch, pairs, tmp_path):
    data = crops(torch, PairCache.open(pairs, tmp_path, truth="linear"))
    first = data.batch(6, seeded(torch, 1))
    data.batch(3, seeded(torch, 2))
    torch.rand(5)
    again = data.batch(6, seeded(torch, 1))
    assert all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    assert not torch.equal(first.mosaic, data.batch(6, seeded(torch, 2)).mosaic)
    assert first.mosaic.shape == (6, 1, 32, 32)
    assert first.target.shape == (6, 3, 32, 32)
    assert {t.dtype for t in vars(first).values()} == {torch.float32}
    assert all(getattr(first, n).shape == (6, 4) for n in ("black", "white", "wb", "shot", "read"))
    assert first.ratio.shape == (6, 1)
    assert first.to_srgb.shape == (6, 3, 3)


def test_amplified_and_balanced_a_crop_is_its_target_sampled(torch, tmp_path):
    from scotopic.train.filters import PACKINGS, laid_out, sampled

    pair = pair_in(tmp_path, ratio=4, noisy=False)
    data = crops(torch, PairCache.open([pair], tmp_path / "cache", truth="linear"), crop=64)
    batch = data.batch(40, seeded(torch, 0))
    black, white, wb = (
        laid_out(t, PACKINGS["bayer"], 64, 64) for t in (batch.black, batch.white, batch.wb)
    )
    y = batch.ratio[:, :, None, None] * wb * (batch.mosaic - black) / (white - black)
    # Rounding to DN is worth ratio * wb / span; LibRaw fills 8 pixels of border from neighbours.
    off = (y - sampled(batch.target, PACKINGS["bayer"])).abs()
    assert off.quantile(0.9) < 4 * 2 / 15_700
    matrix = camera_to_srgb(CAMERA_MATRICES["Sony ILCE-7SM2"])
    assert torch.allclose(
        batch.to_srgb, torch.tensor(matrix, dtype=torch.float32).expand(40, 3, 3), atol=1e-3
    )
    shown = crops(torch, PairCache.open([pair], tmp_path / "cache", truth="srgb"), crop=64)
    batch = shown.batch(4, seeded(torch, 0))
    assert 0 <= batch.target.min() < batch.target.max() <= 1
    assert torch.equal(batch.to_srgb, torch.eye(3).expand(4, 3, 3))


def test_a_dark_frame_is_zero_above_its_blacks_whichever_way_it_is_turned(torch, tmp_path):
    from scotopic.train.filters import PACKINGS, laid_out

    sensor = replace(sony_a7s2(100), black_dn=(400.0, 450.0, 520.0, 600.0))
    mosaic = expose(np.zeros((64, 64, 3)), sensor, 1, np.random.default_rng(0), noisy=False)
    mosaic.data[-1, 0] += 1  # or its last rows would repeat, as those of a file cut short
    for name in ("short.dng", "long.dng"):
        write_mosaic(tmp_path / name, mosaic)
    pair = Pair(tmp_path / "short.dng", tmp_path / "long.dng", 2, "a", "train")
    data = crops(torch, PairCache.open([pair], tmp_path / "cache", truth="linear"))
    batch = data.batch(40, seeded(torch, 0))
    assert (batch.mosaic != laid_out(batch.black, PACKINGS["bayer"], 32, 32)).flatten(1).sum(1).max() <= 1
    assert {tuple(b) for b in batch.black.tolist()} == {(400, 450, 520, 600), (400, 520, 450, 600)}


def test_a_network_is_told_of_a_crop_what_enhancing_tells_it(torch, tmp_path):
    lamp = scene_of(128, 128)
    lamp[:48, :48] = 300
    sensor = replace(sony_a7s2(100), white_dn=15_000.0)
    mosaic = expose(lamp, sensor, 50, np.random.default_rng(0)).with_changes(white=16383.0)
    for name in ("short.dng", "long.dng"):
        write_mosaic(tmp_path / name, mosaic)
    pair = Pair(tmp_path / "short.dng", tmp_path / "long.dng", 50, "a", "train")
    cache = PairCache.open([pair], tmp_path / "cache", truth="linear")
    assert cache.entries[0].saturation == 15_000
    batch = crops(torch, cache, crop=128).batch(1, seeded(torch, 0))
    short = read(pair.short)
    told = graph_inputs(short, plan(short, ratio=50))
    for name in ("black", "white", "wb", "shot", "read"):
        assert getattr(batch, name)[0].tolist() == pytest.approx(getattr(told, name), rel=1e-6)
    assert batch.ratio.item() == pytest.approx(told.ratio)
    assert told.ratio != 50


def test_every_scene_is_as_likely_and_so_is_every_frame_of_it(torch, pairs, tmp_path, monkeypatch):
    cache = PairCache.open(pairs, tmp_path, truth="linear")
    seen: Counter[int] = Counter()
    crop = PairCache.crop

    def watched(self, index, *place):
        seen[index] += 1
        return crop(self, index, *place)

    monkeypatch.setattr(PairCache, "crop", watched)
    crops(torch, cache).batch(800, seeded(torch, 0))
    assert set(seen) == {0, 1, 2}  # the fourth is for validation
    assert seen[2] == pytest.approx(400, abs=60)
    assert seen[0] == pytest.approx(200, abs=50)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_pass_takes_every_scene_once_in_an_order_that_its_number_decides(
    torch, tmp_path, monkeypatch, size
):
    from scotopic.train.sources import Real

    taken = [pair_in(tmp_path, scene=f"0000{i}", size=(64, 64)) for i in range(4)]
    data = crops(torch, PairCache.open(taken, tmp_path / "cache", truth="linear"))
    seen: list[int] = []
    crop = PairCache.crop
    monkeypatch.setattr(PairCache, "crop", lambda self, i, *place: seen.append(i) or crop(self, i, *place))
    source = Real(data, size, seed=1)
    for number in range(20):
        source.draw(number, number)
    passes = [seen[i : i + 4] for i in range(0, 20 * size, 4)]
    assert all(sorted(each) == [0, 1, 2, 3] for each in passes)
    assert len(set(map(tuple, passes))) > 2
    again = Real(data, size, seed=1).draw(7, 7)
    assert torch.equal(again.mosaic, source.draw(7, 7).mosaic)
    assert seen[-size:] == seen[-2 * size : -size] == seen[7 * size : 8 * size]


def test_a_crop_as_large_as_the_picture_takes_the_turns_that_fit(torch, tmp_path):
    pair = pair_in(tmp_path, size=(64, 64))
    cache = PairCache.open([pair], tmp_path / "cache", truth="linear")
    whole = torch.from_numpy(read(pair.short).data.astype(np.float32))
    batch = crops(torch, cache, crop=64).batch(8, seeded(torch, 0))
    assert all(torch.equal(m[0], whole) or torch.equal(m[0], whole.T) for m in batch.mosaic)


def test_pairs_that_no_crop_can_be_taken_from_are_refused(torch, pairs, tmp_path):
    cache = PairCache.open(pairs, tmp_path, truth="linear")
    with pytest.raises(DatasetError, match="of the split test"):
        crops(torch, cache, "test")
    with pytest.raises(DatasetError, match=r"00001_00_short.*smaller than the crop of 128"):
        crops(torch, cache, crop=128)
    with pytest.raises(DatasetError, match="a multiple of 2 is needed"):
        crops(torch, cache, crop=31)
    fuji = pair_in(tmp_path, scene="00009", cfa=X_TRANS)
    with pytest.raises(DatasetError, match="is for bayer sensors"):
        crops(torch, PairCache.open([fuji], tmp_path / "fuji", truth="linear"))


def test_what_the_first_frame_shows_is_told_before_all_are_decoded(torch, pairs, tmp_path, monkeypatch):
    from scotopic.train.recipes import Recipe
    from scotopic.train.sources import Data, open_sources

    monkeypatch.setattr(PairCache, "open", lambda *_, **__: pytest.fail("was decoded"))
    for recipe, words in (
        (Recipe(crop=1024), "smaller than the crop of 1024"),
        (Recipe(network="xtrans", crop=48), "is for xtrans sensors"),
    ):
        with pytest.raises(DatasetError, match=words):
            open_sources(Data(pairs, []), recipe, tmp_path / "cache", torch.device("cpu"))


def test_frames_of_another_sensor_or_too_small_are_named_before_any_is_decoded(
    torch, pairs, tmp_path, monkeypatch
):
    from scotopic.train.recipes import Recipe
    from scotopic.train.sources import Data, open_sources

    wrong = pair_in(tmp_path, scene="00009", cfa=X_TRANS)
    small = pair_in(tmp_path, scene="00010", size=(48, 48))
    monkeypatch.setattr(cache, "_store", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(DatasetError) as refused:
        open_sources(Data([*pairs, wrong, small], []), Recipe(crop=64), tmp_path / "c", torch.device("cpu"))
    for path in (wrong.short, wrong.long):
        assert f"{path}: of a sensor with another colour pattern" in str(refused.value)
    assert f"{small.short}: smaller than the crop of 64" in str(refused.value)
    assert pairs[0].short.name not in str(refused.value)


# Clean pictures and daylight RAWs


def test_a_batch_of_photos_hangs_on_its_generator_alone(torch):
    from importlib.resources import files

    from scotopic.train.datasets import CleanPhotos, find_photos

    photos = find_photos(Path(str(files("scotopic.evaluate") / "held_out")))[:2]
    data = CleanPhotos(photos, 48, torch.device("cpu"))
    first, _ = data.batch(3, seeded(torch, 1))
    data.batch(1, seeded(torch, 5))
    assert torch.equal(data.batch(3, seeded(torch, 1))[0], first)


@pytest.mark.parametrize("cfa", [*BAYER_PHASES, X_TRANS])
def test_a_daylight_raw_becomes_its_light_binned_in_linear_srgb(torch, cfa, rng):
    from scotopic.train.datasets import daylight

    size = 4 if len(cfa) == 2 else 6
    small = rng.uniform(0.05, 0.9, (9, 11, 3))
    scene = small.repeat(size, axis=0).repeat(size, axis=1)
    mosaic = expose(scene, sony_a7s2(100), 1, rng, cfa=cfa, noisy=False)
    binned = daylight(mosaic)
    wanted = small @ camera_to_srgb(mosaic.xyz_to_camera).T
    assert binned.shape == (9, 11, 3)
    assert binned == pytest.approx(wanted, abs=1e-3)
    odd = mosaic.with_changes(data=mosaic.data[:-1, :-1])
    assert daylight(odd) == pytest.approx(wanted[:-1, :-1], abs=1e-3)


def test_a_daylight_raws_lamps_are_white_and_what_is_not_saturated_is_not_cut(torch, rng):
    from scotopic.train.datasets import daylight

    scene = np.full((32, 32, 3), 0.2)
    scene[:16] = 4.0
    scene[16:24] = (1.8, 0.1, 0.1)
    mosaic = expose(scene, sony_a7s2(100), 1, rng, wb=(2.0, 1.0, 1.6), noisy=False)
    to_srgb = camera_to_srgb(mosaic.xyz_to_camera)
    lit = daylight(mosaic)
    assert lit[:4] == pytest.approx(1.0, abs=1e-3)
    assert lit[4:6] == pytest.approx(np.broadcast_to(to_srgb @ (1.8, 0.1, 0.1), (2, 8, 3)), abs=2e-3)
    with pytest.raises(DatasetError, match="no colour matrix"):
        daylight(mosaic.with_changes(xyz_to_camera=None))


def test_raws_are_found_loaded_and_take_the_place_of_their_jpegs(torch, tmp_path):
    from scotopic.train.datasets import CleanPhotos, find_photos, load_photo

    mosaic = expose(scene_of(256, 320), sony_a7s2(100), 1, np.random.default_rng(0))
    (tmp_path / "trip").mkdir()
    write_mosaic(tmp_path / "trip" / "IMG_1.ARW", mosaic)
    (tmp_path / "trip" / "IMG_1.JPG").write_bytes(b"the camera's own")
    (tmp_path / "notes.txt").touch()
    found = find_photos(tmp_path)
    assert [p.name for p in found] == ["IMG_1.ARW"]
    photo = load_photo(found[0])
    assert photo.shape == (3, 64, 80)
    assert photo.dtype == torch.float16
    assert np.percentile(photo.float().mean(0), 95) == pytest.approx(1, rel=0.01)
    batch, hdr = CleanPhotos(found, 32, torch.device("cpu")).batch(2, seeded(torch, 0))
    assert hdr.all()
    assert torch.isfinite(batch).all()


def test_hidden_files_and_previews_of_network_storage_are_no_photos_to_learn_from(torch, tmp_path):
    from scotopic.train.datasets import find_photos
    from scotopic.train.sources import _looks_like_pairs

    for name in (
        "a.jpg",
        "._a.jpg",
        "trip/b.jpg",
        ".Trashes/c.jpg",
        "@eaDir/a.jpg/thumb.jpg",
        "#recycle/short/d.jpg",
    ):
        path = tmp_path / ".photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = tmp_path / ".photos"  # which is named, and so is meant
    assert [p.relative_to(folder).as_posix() for p in find_photos(folder)] == ["a.jpg", "trip/b.jpg"]
    assert not _looks_like_pairs(folder)
    assert [p.name for p in find_all(folder)] == ["a.jpg"]


def test_all_bad_photos_are_named_at_once(torch, tmp_path):
    from scotopic.train.datasets import CleanPhotos, find_photos

    for name in ("a.jpg", "b.dng", "c.NEF"):
        (tmp_path / name).write_bytes(b"not a picture")
    write_exr(tmp_path / "whole.exr", np.ones((40, 50, 3), np.float32))
    whole = (tmp_path / "whole.exr").read_bytes()
    (tmp_path / "d.exr").write_bytes(whole[: len(whole) // 2])
    write_exr(tmp_path / "e.exr", np.full((40, 50, 3), np.nan, np.float32))
    write_bomb(tmp_path / "f.png")
    with pytest.raises(DatasetError) as caught:
        CleanPhotos(find_photos(tmp_path), 32, torch.device("cpu"))
    assert all(name in str(caught.value) for name in ("a.jpg", "b.dng", "c.NEF", "d.exr", "e.exr", "f.png"))
    assert "whole.exr" not in str(caught.value)
    assert "more than the 179 million pixels" in str(caught.value)


def write_exr(path: Path, light) -> None:
    import OpenEXR

    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": light}).write(str(path))


def write_bomb(path: Path) -> None:
    """A PNG that says it has 400 million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    start = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + start + b"\0\0\0\0IDAT" + bytes(9))


def test_rows_without_numbers_leave_the_rest_of_a_scene_as_it_is(torch, tmp_path):
    from scotopic.train.datasets import HDR_CEILING, load_photo

    light = np.random.default_rng(0).uniform(0.1, 0.9, (40, 50, 3)).astype(np.float32)
    write_exr(tmp_path / "a.exr", light)
    light[:3], light[3:5] = np.nan, np.inf
    write_exr(tmp_path / "b.exr", light)
    whole, torn = (load_photo(tmp_path / name) for name in ("a.exr", "b.exr"))
    assert (torn[:, :3] == 0).all()
    assert (torn[:, 3:5] == HDR_CEILING).all()
    assert torch.allclose(torn[:, 5:].float(), whole[:, 5:].float(), rtol=0.05)


def test_photos_beyond_the_memory_are_refused_by_their_headers(torch, tmp_path, monkeypatch):
    from scotopic.train import datasets

    write_exr(tmp_path / "a.exr", np.ones((64, 64, 3), np.float32))
    monkeypatch.setattr(datasets.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 1}.get(name, 40_000))
    monkeypatch.setattr(datasets, "load_photo", lambda _: pytest.fail("was decoded"))
    with pytest.raises(DatasetError, match="memory"):
        datasets.load_photos([tmp_path / "a.exr"])


def test_deep_grey_is_grey_in_training_and_in_simulated_scenes(torch, tmp_path):
    from PIL import Image

    from scotopic.colour import srgb_to_linear
    from scotopic.evaluate.scenes import photo_to_camera, render
    from scotopic.train.datasets import load_photo

    Image.fromarray(np.full((32, 32), 128 * 257, np.uint16)).save(tmp_path / "a.png")
    assert (load_photo(tmp_path / "a.png") == 128).all()
    camera = photo_to_camera(tmp_path / "a.png")
    assert (render(camera) == 128).all()
    assert camera.max() < 2 * srgb_to_linear(np.array(128 / 255))
