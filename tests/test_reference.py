"""Sequences held to one of their frames: by --like nothing flickers, whatever ISO, time, aperture and lamps do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL.TiffImagePlugin import IFDRational
from typer.testing import CliRunner, Result

import scotopic
from conftest import SAMPLE
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError
from scotopic.exposure import EV_RANGE
from scotopic.frame import Mosaic
from scotopic.metadata import Exif
from scotopic.reference import F_NUMBER, ReferenceFrame, f_number_of
from scotopic.sensor.simulated import expose, sony_a7s2
from test_watch import Watching

HELD = 0.03
"""Stops that the brightness of a sequence may move."""

FULL = 3200 * 10.0 / 2.0**2
"""ISO x seconds / f-number squared at which the scene below is 40 times too dark."""

DARKER = 40.0


def frame(
    iso: float = 3200,
    exposure_s: float = 10.0,
    f_number: float | None = 2.0,
    *,
    lamp: float = 0.0,
    seed: int = 0,
    **changes: Any,
) -> Mosaic:
    """One scene as a camera sees it with these settings: in proportion to ISO x time / f-number squared."""
    ramp = np.linspace(0.05, 0.5, 160)
    scene = np.repeat(np.broadcast_to(ramp, (128, 160))[..., None], 3, axis=2).copy()
    scene[8:40, 8:40] += lamp
    light = iso * exposure_s / (f_number or 2.0) ** 2
    mosaic = expose(scene, sony_a7s2(iso), DARKER * FULL / light, np.random.default_rng(seed))
    aperture = {F_NUMBER: IFDRational(round(100 * f_number), 100)} if f_number is not None else {}
    return mosaic.with_changes(iso=iso, exposure_s=exposure_s, exif=Exif(exif=aperture), **changes)


def card(folder: Path, **frames: Mosaic) -> Path:
    """A folder of these frames."""
    folder.mkdir(exist_ok=True)
    for name, mosaic in frames.items():
        write_mosaic(folder / f"{name}.dng", mosaic)
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["enhance", *map(str, words)])


def told(*words: object, status: int = 0) -> dict[str, dict[str, Any]]:
    """What is told of each file, by its name."""
    result = run(*words, "--json")
    assert result.exit_code == status, result.output
    lines = map(json.loads, result.stdout.splitlines())
    return {Path(line["file"]).stem: line for line in lines}


def stops(line: dict[str, Any]) -> float:
    """How bright a result is away from the lamp, in stops of light."""
    return float(np.log2(tifffile.imread(line["output"])[48:, 48:].mean()))


LIGHT = ("--format", "tiff", "--look", "linear")
"""Results whose values are in proportion to light."""


STEPS = {
    "a": {},
    "b": {"iso": 6400},
    "c": {"iso": 12800, "exposure_s": 5.0},
    "d": {"exposure_s": 4.0},
    "e": {"exposure_s": 20.0, "f_number": 2.8},
    "f": {"iso": 800, "f_number": 1.4},
}
"""Steps of ISO, of time, of aperture, and of several."""


@pytest.mark.parametrize("more", [[], ["--ratio", "30"]], ids=["automatic", "told"])
def test_steps_of_iso_time_and_aperture_keep_the_brightness(tmp_path, more):
    frames = {name: frame(**step, seed=ord(name)) for name, step in STEPS.items()}
    folder = card(tmp_path / "card", **frames)
    words = [folder, *LIGHT, *more]
    held = told(*words, "-o", tmp_path / "held", "--like", folder / "a.dng")
    bright = {name: stops(line) for name, line in held.items()}
    assert set(bright) == set(STEPS)
    assert max(bright.values()) - min(bright.values()) < HELD, bright
    assert {line["ratio_source"] for line in held.values()} == {"as a.dng"}
    alone = told(folder / "a.dng", *LIGHT, *more, "-o", tmp_path / "alone.tiff")
    assert held["a"]["ratio"] == alone["a"]["ratio"], "the frame itself comes out as it does by itself"
    assert (tmp_path / "alone.tiff").read_bytes() == Path(held["a"]["output"]).read_bytes()
    if more:
        jumps = [stops(line) for line in told(*words, "-o", tmp_path / "jumps").values()]
        assert max(jumps) - min(jumps) > 1


def stating(mosaic: Mosaic, white: float, bits: int = 14) -> Mosaic:
    """The same light, counted in so many bits, in a file that states another white level."""
    shift = 14 - bits
    data, black = mosaic.data >> shift, mosaic.black / 2**shift
    return mosaic.with_changes(data=data, black=black, white=white, saturation=white)


def test_equal_counts_of_one_camera_are_equally_bright_whatever_white_is_stated(tmp_path):
    frames = {
        "a": stating(frame(), 16383),
        "b": stating(frame(), 13600),
        "c": stating(frame(), 4095, bits=12),
        "d": stating(frame(), 3400, bits=12),
        "e": stating(frame(model="ILCE-9"), 13600),
    }
    folder = card(tmp_path / "card", **frames)
    words = [folder, *LIGHT, "-o", tmp_path / "out", "--overwrite", "--ratio", 40, "--like"]
    held = told(*words, folder / "a.dng")
    bright = {name: stops(line) for name, line in held.items()}
    assert held["a"]["ratio"] == held["e"]["ratio"] == 40
    lower = (13600 - frames["b"].black.mean()) / (16383 - frames["a"].black.mean())
    assert held["b"]["ratio"] == pytest.approx(40 * lower, rel=1e-3)
    assert held["d"]["ratio"] == pytest.approx(40 * lower, rel=1e-3)
    # Rounding to 12 bits adds noise of its own.
    assert [bright[name] for name in "bcd"] == pytest.approx([bright["a"]] * 3, abs=HELD)
    by_the_last = ReferenceFrame.of(frames["d"], ratio=40 * lower)
    assert by_the_last.ratio_of(frames["a"]) == pytest.approx(40, rel=1e-3)


def test_runs_begun_before_white_levels_counted_are_gone_on_with():
    before = ReferenceFrame.of(frame(), ratio=40, name="a.dng")
    gains = ",".join(f"{gain:.4g}" for gain in frame().wb)
    assert str(before) == f"a.dng (x40 at ISO 3200, 10 s, f/2; balance {gains})"


def test_a_lamp_that_comes_and_goes_moves_nothing(tmp_path):
    frames = {f"{n}": frame(lamp=n % 2 * 4.0, seed=n, iso=3200 * 2 ** (n // 2)) for n in range(4)}
    folder = card(tmp_path / "card", **frames)
    held = told(folder, *LIGHT, "-o", tmp_path / "held", "--like", folder / "0.dng")
    bright = [stops(line) for line in held.values()]
    assert max(bright) - min(bright) < HELD, bright
    judged = [stops(line) for line in told(folder, *LIGHT, "-o", tmp_path / "judged").values()]
    assert max(judged) - min(judged) > 2 * HELD, "each by itself flickers"


def test_one_white_balance_holds_for_all_pictures_of_the_camera(tmp_path):
    frames = {"a": frame(), "b": frame(wb=(1.7, 1.0, 2.2)), "c": frame(wb=(1.7, 1.0, 2.2), model="ILCE-9")}
    folder = card(tmp_path / "card", **frames)
    like = ["--like", folder / "a.dng", "--dry-run"]
    held = told(folder, *like)
    assert held["a"]["wb"] == held["b"]["wb"] == pytest.approx(frames["a"].wb, abs=1e-3)
    assert held["a"]["wb_source"] == held["b"]["wb_source"] == "as a.dng"
    assert held["a"]["warning"] is held["b"]["warning"] is None
    assert (held["c"]["wb"], held["c"]["wb_source"]) == ([1.7, 1.0, 2.2], "camera")
    assert held["c"]["warning"] == (
        "it is of SONY ILCE-9, a.dng of SONY ILCE-7SM2: that they are equally bright goes by what the files say"
    )
    assert held["c"]["ratio"] == held["b"]["ratio"]
    given = told(folder, *like, "--wb", "2,1,1.5")
    assert {(tuple(line["wb"]), line["wb_source"]) for line in given.values()} == {((2, 1, 1.5), "given")}


def test_finished_colours_are_held_by_what_the_files_say_with_a_note(tmp_path):
    folder = card(tmp_path, a=frame())
    told(folder / "a.dng", "-o", folder / "b.dng", "--ratio", 1)
    colours = scotopic.read(folder / "b.dng")
    reference = ReferenceFrame.of(scotopic.read(folder / "a.dng"), ratio=40)
    assert (
        reference.held(colours)
        .notes[-1]
        .startswith("it holds finished colours, the reference frame a mosaic:")
    )
    assert reference.ratio_of(colours) == 40


def test_a_picture_that_does_not_say_its_exposure_is_refused_and_the_others_go_on(tmp_path):
    folder = card(tmp_path, a=frame(), b=frame(), c=frame(), d=frame())
    for name, without in (("b", {"iso": None}), ("c", {"iso": None, "exposure_s": None})):
        write_mosaic(folder / f"{name}.dng", frame().with_changes(**without))
    held = told(folder, "-o", tmp_path / "out", "--like", folder / "a.dng", status=1)
    assert {name: line["status"] for name, line in held.items()} == {
        **{"a": "done", "b": "failed"},
        **{"c": "failed", "d": "done"},
    }
    assert held["b"]["error"].startswith("b.dng: says no ISO, without which")
    assert "no ISO and no exposure time" in held["c"]["error"]
    assert "exiftool -ISO=" in held["b"]["error"]
    assert "--ratio" in held["b"]["error"]


def test_an_f_number_that_both_do_not_say_counts_no_more_and_is_told_where_one_does(tmp_path):
    bare, known = frame(f_number=None), frame(f_number=2.8)
    folder = card(tmp_path, bare=bare, more=frame(iso=6400, f_number=None), known=known)
    held = told(folder, "--like", folder / "bare.dng", "--ratio", 40, "--dry-run")
    assert (held["more"]["ratio"], held["more"]["warning"]) == (20, None)
    assert held["known"]["ratio"] == 40
    assert "only it says its f-number (f/2.8)" in held["known"]["warning"]
    held = told(folder, "--like", folder / "known.dng", "--ratio", 40, "--dry-run")
    assert held["bare"]["ratio"] == 40
    assert "only known.dng says its f-number (f/2.8)" in held["bare"]["warning"]


def test_a_picture_that_would_be_out_of_range_is_refused_and_the_others_go_on(tmp_path):
    folder = card(tmp_path, a=frame(), b=frame().with_changes(exposure_s=1e-4), c=frame())
    held = told(folder, "-o", tmp_path / "out", "--like", folder / "a.dng", "--ratio", 40, status=1)
    assert [held[name]["status"] for name in "abc"] == ["done", "failed", "done"]
    assert "4e+06 times to be as bright as a.dng" in held["b"]["error"]
    assert f"{2.0 ** EV_RANGE[1]:g}" in held["b"]["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--like", "{0}/none.dng"], "none.dng: there is no such file"),
        (["--like", "{0}"], "is a folder"),
        (["--like", "{0}/broken.dng"], "--like: broken.dng"),
        (["--like", "{0}/silent.dng"], "silent.dng: says no exposure time"),
        (["--like", "{0}/capped.dng"], "capped.dng: next to no light"),
        (["--like", "{0}/done.dng"], "done.dng: scotopic has enhanced it already"),
        (["--like", "s3://bucket/a.dng"], "copy the frame of --like here first"),
        (["--like", "{0}/a.dng", "--wb", "auto"], "--wb auto"),
        (["--like", "{0}/a.dng", "--again"], "leave --again out"),
        (["--like", "{0}/a.dng", "--ratio", "3", "--ev", "2"], "not both"),
        (["--like", "{0}/a.dng", "--ratio", "1e9"], "ratio 1e+09 is out of range"),
    ],
)
def test_a_frame_that_nothing_can_be_held_to_is_said_before_any_work(tmp_path, words, said):
    folder = card(tmp_path / "frames", a=frame(), silent=frame().with_changes(exposure_s=None))
    capped = expose(np.zeros((128, 160, 3)), sony_a7s2(3200), 40, np.random.default_rng(0))
    write_mosaic(folder / "capped.dng", capped.with_changes(exposure_s=1.0))
    (folder / "broken.dng").write_bytes((folder / "a.dng").read_bytes()[:4000])
    if "done" in said:
        assert run(folder / "a.dng", "-o", folder / "done.dng").exit_code == 0
    out = tmp_path / "out"
    got = run(SAMPLE, "-o", out, *(word.format(folder) for word in words))
    assert got.exit_code == 2, got.output
    assert said in got.stderr.replace("\n", " ")
    assert not out.exists()


def test_workers_and_a_later_run_hold_what_the_frame_said(tmp_path):
    frames = {name: frame(**step) for name, step in STEPS.items()}
    folder, out = card(tmp_path / "card", **frames), tmp_path / "out"
    apart = card(tmp_path / "apart", night=frame(exposure_s=5.0)) / "night.dng"
    words = [folder, "-o", out, "--like", apart, "--ratio", 80]
    made = told(*words, "--workers", 2)
    assert {name: line["ratio"] for name, line in made.items()} == {
        **{"a": 40, "b": 20, "c": 20, "d": 100},
        **{"e": 39.2, "f": 78.4},
    }
    # Only its numbers count: the frame may lie elsewhere.
    moved = apart.rename(tmp_path / "night.dng")
    words[4] = moved
    (out / "b-scotopic.jpg").unlink()
    again = told(*words, "--resume")
    assert {name: line["status"] for name, line in again.items()} == {
        **dict.fromkeys("acdef", "skipped"),
        "b": "done",
    }
    assert all(again[name]["resumed"] for name in "acdef")
    other = told(folder, "-o", out, "--like", folder / "a.dng", "--ratio", 80, "--resume", status=1)
    assert {line["status"] for line in other.values()} == {"failed"}, "results of other settings are kept"


def test_an_interrupted_run_is_not_gone_on_with_by_another_frame(tmp_path):
    folder, out = card(tmp_path / "card", a=frame(), b=frame(iso=6400)), tmp_path / "out"
    assert run(folder, "-o", out, "--like", folder / "a.dng", "--ratio", 40).exit_code == 0
    journal = out / ".scotopic-journal.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-1]) + "\n")
    refused = run(folder, "-o", out, "--like", folder / "b.dng", "--ratio", 40, "--resume")
    assert refused.exit_code == 2
    words = refused.stderr.replace("\n", " ")
    assert "like was a.dng (x40 at ISO 3200, 10 s, f/2" in words
    assert "now b.dng (x40 at ISO 6400" in words
    assert run(folder, "-o", out, "--like", folder / "a.dng", "--ratio", 40, "--resume").exit_code == 0


def test_programs_hold_a_sequence_in_two_steps():
    reference = scotopic.ReferenceFrame.of(frame(), ratio=40)
    later = reference.held(frame(iso=6400, wb=(1.5, 1.0, 2.0)))
    assert scotopic.plan(later, ratio=reference.ratio_of(later)).exposure.ratio == pytest.approx(20)
    assert later.wb == frame().wb
    with pytest.raises(SettingsError, match="no ISO"):
        ReferenceFrame.of(frame().with_changes(iso=None))


def test_the_amplification_does_not_hang_on_which_of_two_frames_is_named():
    a, b = frame(), frame(iso=800, exposure_s=1 / 3, f_number=1.4)
    forth = ReferenceFrame.of(a, ratio=40).ratio_of(b)
    assert ReferenceFrame.of(b, ratio=forth).ratio_of(a) == pytest.approx(40)


def test_an_aperture_that_is_none_is_not_known():
    for tags, known in (
        ({}, None),
        ({F_NUMBER: IFDRational(0, 1)}, None),
        ({F_NUMBER: IFDRational(0, 0)}, None),
        ({F_NUMBER: IFDRational(28, 10)}, 2.8),
        ({0x9202: IFDRational(3, 1)}, 2**1.5),
        ({0x9202: IFDRational(0, 1)}, None),
    ):
        assert f_number_of(replace_exif(frame(), tags)) == (known and pytest.approx(known))


def replace_exif(mosaic: Mosaic, tags: dict[int, Any]) -> Mosaic:
    return mosaic.with_changes(exif=replace(mosaic.exif, exif=tags))


def test_a_watched_folder_is_held_to_a_frame_that_may_go_once_it_is_read(tmp_path):
    card(tmp_path / "watched", a=frame())
    apart = card(tmp_path / "apart", night=frame(exposure_s=5.0)) / "night.dng"
    words = (tmp_path / "watched", "-o", tmp_path / "out", "--like", apart, "--ratio", 80)
    with Watching(tmp_path / "rows", *words) as watching:
        watching.until("done", "a.dng")
        apart.unlink()
        card(tmp_path / "watched", b=frame(iso=6400))
        watching.until("done", "b.dng")
        watching.stopped()
    assert [(row["ratio"], row["ratio_source"]) for row in watching.rows] == [
        (40, "as night.dng"),
        (20, "as night.dng"),
    ]
