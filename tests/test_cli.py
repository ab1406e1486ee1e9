"""The command line as people use it: in its own process, on real files."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from conftest import SAMPLE
from scotopic.cli import app
from scotopic.cli.report import asked_to_stop
from scotopic.dng.write import write_mosaic
from scotopic.jobs.journal import NAME as JOURNAL
from scotopic.metadata import Exif
from scotopic.models import find
from scotopic.sensor.simulated import expose, sony_a7s2


def scotopic(*words, cwd=None, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scotopic", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=120,
        **more,
    )


@pytest.fixture
def card(tmp_path, photo) -> Path:
    """A memory card: two folders, three photos, a JPEG, a damaged file."""
    folder = tmp_path / "card"
    for name, seed in (("A/IMG_1.dng", 1), ("A/IMG_2.dng", 2), ("B/IMG_1.dng", 3)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mosaic(path, expose(photo[:96, :128], sony_a7s2(800), 60, np.random.default_rng(seed)))
    Image.new("RGB", (20, 20)).save(folder / "A" / "IMG_1.JPG")
    return folder


def names(folder: Path) -> list[str]:
    """All files but the journal of a run over many."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.name != JOURNAL)
    return sorted(str(p.relative_to(folder)) for p in found)


def test_a_raw_becomes_a_jpeg_beside_it(tmp_path):
    raw = tmp_path / "IMG_1.dng"
    shutil.copy(SAMPLE, raw)
    done = scotopic("enhance", raw)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == ["IMG_1-scotopic.jpg", "IMG_1.dng"]
    assert "IMG_1-scotopic.jpg" in done.stdout
    with Image.open(tmp_path / "IMG_1-scotopic.jpg") as image:
        assert image.size == (1152, 1152)
        assert image.getexif()[0x0110] == "ILCE-7SM2"
        assert 60 < np.asarray(image).mean() < 180
    again = scotopic("enhance", raw)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_folder_is_gone_through_and_a_bad_file_does_not_stop_it(card):
    (card / "A" / "IMG_0.dng").write_bytes(b"II*\0 broken")
    done = scotopic("enhance", card, "-o", card.parent / "out", "--json")
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["status"] for r in rows] == ["failed", "done", "done", "done"]
    assert rows[0]["file"].endswith("IMG_0.dng")
    assert "IMG_0.dng" in rows[0]["error"]
    assert rows[1]["ratio"] > 1
    assert rows[1]["model"].startswith("bayer-fast")
    assert names(card.parent / "out") == [
        "A/IMG_1-scotopic.jpg",
        "A/IMG_2-scotopic.jpg",
        "B/IMG_1-scotopic.jpg",
    ]
    assert "Traceback" not in done.stderr


def test_results_that_exist_are_passed_by_or_replaced_when_asked(card):
    out = card.parent / "out"
    assert scotopic("enhance", card / "A", "-o", out).returncode == 0
    kept = out / "IMG_1-scotopic.jpg"
    before = kept.stat().st_mtime_ns
    rows = scotopic("enhance", card / "A", "-o", out, "--skip-existing", "--json")
    assert rows.returncode == 0
    assert [json.loads(r)["status"] for r in rows.stdout.splitlines()] == ["skipped", "skipped"]
    assert kept.stat().st_mtime_ns == before
    assert scotopic("enhance", card / "A", "-o", out, "--overwrite").returncode == 0
    assert kept.stat().st_mtime_ns != before


def test_a_photo_is_never_replaced_by_its_result(card):
    raw = card / "A" / "IMG_1.dng"
    odd = raw.rename(raw.with_suffix(".tif"))
    before = odd.read_bytes()
    done = scotopic("enhance", odd, "-o", odd, "--overwrite")
    assert done.returncode == 2
    assert odd.read_bytes() == before


def test_a_dry_run_says_all_and_writes_nothing(card):
    before = names(card)
    done = scotopic("enhance", card, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.count("would become") == 3
    # By the whole path, as failures: there may be two of one name.
    assert f"{card / 'A' / 'IMG_1.dng'} would become {card / 'A' / 'IMG_1-scotopic.jpg'}" in done.stdout
    assert names(card) == before


def test_two_photos_of_one_name_do_not_meet(card):
    shutil.copy(card / "A" / "IMG_2.dng", card / "A" / "IMG_1.nef")
    done = scotopic("enhance", card / "A" / "IMG_1.dng", card / "A" / "IMG_1.nef", "-o", card / "out")
    assert done.returncode == 0, done.stderr
    assert names(card / "out") == ["IMG_1-scotopic.jpg", "IMG_1_nef-scotopic.jpg"]


@pytest.mark.parametrize(("name", "size"), [("x.png", "PNG"), ("x.tif", "TIFF"), ("x.jpeg", "JPEG")])
def test_the_name_of_the_output_decides_its_format(card, name, size):
    target = card.parent / name
    assert scotopic("enhance", card / "A" / "IMG_1.dng", "-o", target).returncode == 0
    with Image.open(target) if size != "TIFF" else _tiff(target) as image:
        assert image.format == size


def _tiff(path):
    import contextlib
    import types

    import tifffile

    assert tifffile.imread(path).dtype == np.uint16
    return contextlib.nullcontext(types.SimpleNamespace(format="TIFF"))


@pytest.mark.parametrize(
    "words",
    [
        ["enhance"],
        ["enhance", "{raw}", "--ratio", "-4"],
        ["enhance", "{raw}", "--ratio", "4", "--ev", "2"],
        ["enhance", "{raw}", "--strength", "2"],
        ["enhance", "{raw}", "--format", "bmp"],
        ["enhance", "{raw}", "--overwrite", "--skip-existing"],
        ["enhance", "{raw}", "--device", "abacus"],
        ["enhance", "{raw}", "-o", "x.bmp"],
        ["enhance", "{raw}", "{raw}", "{other}", "-o", "x.jpg"],
        ["enhance", "{raw}", "-o", "x.jpg", "--format", "tiff"],
        ["conjure", "{raw}"],
    ],
)
def test_a_wrong_command_line_ends_with_2_in_words(card, words):
    raw, other = card / "A" / "IMG_1.dng", card / "A" / "IMG_2.dng"
    done = scotopic(*[w.format(raw=raw, other=other) for w in words], cwd=card)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not list(card.rglob("*scotopic*"))


@pytest.mark.parametrize("command", ["enhance", "info", "develop", "compare"])
def test_files_that_are_no_raw_files_end_with_1_in_one_line(tmp_path, command):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    (tmp_path / "IMG_1.DNG").write_bytes((tmp_path / "a.jpg").read_bytes())
    done = scotopic(command, tmp_path / "IMG_1.DNG")
    assert done.returncode == 1
    assert "JPEG" in done.stderr
    assert "Traceback" not in done.stderr
    assert names(tmp_path) == ["IMG_1.DNG", "a.jpg"]
    missing = scotopic(command, tmp_path / "none.arw")
    assert missing.returncode == 1
    assert "no such file" in missing.stderr


def test_a_pipe_in_a_folder_fails_alone_and_the_rest_goes_on(card):
    os.mkfifo(card / "A" / "IMG_0.dng")
    done = scotopic("enhance", card)
    assert done.returncode == 1
    assert "IMG_0.dng: FAILED" in done.stderr
    assert "is a pipe, not a file" in done.stderr
    assert len([name for name in names(card) if name.endswith("-scotopic.jpg")]) == 3
    told = scotopic("info", card / "A" / "IMG_0.dng", "--json")
    assert told.returncode == 1
    assert "is a pipe" in json.loads(told.stdout)["error"]


@pytest.mark.parametrize("command", ["enhance", "info", "develop", "compare"])
def test_a_name_too_long_is_told_in_a_line_whether_it_is_read_or_written(tmp_path, command):
    unread = scotopic(command, tmp_path / f"{'a' * 300}.dng")
    assert unread.returncode == 1
    assert "File name too long" in unread.stderr
    # Of a comparison the results' place is a folder.
    name = "a" * 300 + (".jpg" if command != "compare" else "")
    written = scotopic(command, SAMPLE, "-o", tmp_path / name) if command != "info" else unread
    assert written.returncode != 0
    assert "File name too long" in written.stderr
    assert not any("Traceback" in done.stderr for done in (unread, written))
    assert names(tmp_path) == []


def test_info_says_what_enhance_will_do(tmp_path):
    done = scotopic("info", SAMPLE, "--json")
    facts = json.loads(done.stdout)
    assert facts["camera"] == "ILCE-7SM2"
    assert facts["iso"] == 320
    assert facts["cfa"] == "RGGB"
    assert 100 < facts["ratio"] <= 300
    words = scotopic("info", SAMPLE).stdout
    assert "1/30 s" in words
    assert "stops" in words


def test_develop_gives_the_traditional_picture(card):
    assert scotopic("develop", card / "A" / "IMG_1.dng", "--ratio", "60").returncode == 0
    with Image.open(card / "A" / "IMG_1-traditional.jpg") as image:
        assert np.asarray(image).mean() > 20


def test_compare_writes_one_picture_and_one_page_that_stands_alone(card):
    raw = card / "A" / "IMG_1.dng"
    done = scotopic("compare", raw)
    assert done.returncode == 0, done.stderr
    with Image.open(card / "A" / "IMG_1-compare.jpg") as image:
        assert image.width > image.height
    page = (card / "A" / "IMG_1-compare.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "http" not in page
    assert scotopic("compare", raw).returncode == 1
    refused = scotopic("compare", raw, "-o", card / "A" / "IMG_1-compare.jpg")
    assert refused.returncode == 1
    assert "IMG_1-compare.jpg: is a file, not a folder; give another with -o" in refused.stderr
    damaged = shutil.copytree(find("bayer-fast").folder, card.parent / "damaged")
    (damaged / "model.onnx").write_bytes(b"")
    assert scotopic("compare", raw, "-o", card / "new" / "folder", "--model", damaged).returncode == 1
    assert not (card / "new").exists()


def test_models_are_listed_shown_and_verified():
    listed = scotopic("models")
    assert listed.returncode == 0
    assert "bayer-fast" in listed.stdout
    assert json.loads(scotopic("models", "show", "bayer-fast").stdout)["kind"] == "linear"
    assert "sound" in scotopic("models", "verify").stdout


def test_help_is_written_for_photographers():
    for command in ("enhance", "info", "develop", "compare", "models", "train", "evaluate", "simulate"):
        done = scotopic(command, "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout
    assert scotopic("--version").stdout.startswith("scotopic ")


@pytest.fixture
def interruptible():
    """SIGINT as on a terminal: what a shell started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_waits_for_the_end_of_a_step_only_once_there_are_steps(
    monkeypatch, capsys, interruptible, processes
):
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(KeyboardInterrupt), asked_to_stop():
        signal.raise_signal(signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    work = asked_to_stop()
    ask = work.__enter__()
    assert not ask()
    signal.raise_signal(signal.SIGINT)
    assert ask()
    again = pytest.raises(KeyboardInterrupt) if processes == "1" else nullcontext()
    with again:  # torchrun counts the seconds itself
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(typer.Exit) as left:
        work.__exit__(None, None, None)
    assert left.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def importing(tmp_path) -> Iterator[subprocess.Popen[str]]:
    """A command that is being imported, and will be for as long as nothing is said to it."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(
        "import sys\nprint('importing', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "scotopic", "info", str(SAMPLE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout.readline() == "importing\n"
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_while_it_is_still_being_imported_is_heeded_too(importing, number):
    importing.send_signal(number)
    # The end of its input would let the import go on: the signal is there before.
    told, words = importing.communicate(timeout=60)
    assert importing.returncode == 130
    assert not told
    assert words == "stopped; nothing was begun\n"


def test_so_it_is_where_nobody_reads_what_it_says(importing):
    importing.stderr.close()
    importing.send_signal(signal.SIGTERM)
    assert importing.wait(60) == 130


def test_whoever_imports_the_package_keeps_handlers_of_their_own(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("import signal, scotopic; print(signal.getsignal(signal.SIGTERM))")
    done = subprocess.run([sys.executable, own], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_nothing_half_written(tmp_path, photo, number):
    raw = tmp_path / "raw"
    raw.mkdir()
    tile = np.tile(photo, (3, 3, 1))
    mosaic = expose(tile, sony_a7s2(800), 60, np.random.default_rng(0))
    for i in range(12):
        write_mosaic(raw / f"IMG_{i}.dng", mosaic)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "scotopic", "enhance", str(raw), "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(out.glob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in words
    assert "Traceback" not in words
    left = [path for path in out.iterdir() if path.name != JOURNAL]
    assert 1 <= len(left) < 12
    for path in left:
        assert path.suffix == ".jpg"
        with Image.open(path) as image:
            image.load()


def test_every_broken_file_fails_alone_in_one_line(raws, tmp_path):
    done = scotopic("enhance", raws / "broken", "-o", tmp_path / "out", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert len(rows) == len(list((raws / "broken").iterdir()))
    assert {r["status"] for r in rows} == {"failed"}
    assert all(r["error"] and "\n" not in r["error"] for r in rows)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    ["canon_30d.CR2", "Canon_PowerShot_S40_CRW_0104.CRW", "Kodak_DC120_DC120IMG_P003908.KDC"],
)
def test_other_makers_files_work(raws, tmp_path, name):
    done = scotopic("enhance", raws / name, "-o", tmp_path / "a.jpg")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.jpg") as image:
        assert 25 < np.asarray(image).mean() < 230
        assert image.getexif().get_ifd(0x8769)[0x829A] > 0


def test_the_real_concert_comes_out_upright_coloured_and_with_its_exif(raws, tmp_path):
    done = scotopic("enhance", raws / "sony_a7r3_iso3200_concert.ARW", "-o", tmp_path / "a.jpg")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (5184, 3464)
        exif = image.getexif()
        assert exif[0x0110] == "ILCE-7RM3"
        inner = exif.get_ifd(0x8769)
        assert float(inner[0x829A]) == pytest.approx(1 / 640)
        assert inner[0x8827] == 3200
        assert inner[0xA434] == "E 55-210mm F4.5-6.3 OSS"
        assert 30 < np.asarray(image.reduce(8)).mean() < 160


def test_names_that_are_no_text_are_reported_and_done(card):
    odd = card / "A" / os.fsdecode(b"IMG_\xff\xe9.dng")
    try:
        shutil.copy(card / "A" / "IMG_1.dng", odd)
    except OSError:
        pytest.skip("this file system takes no such names")
    done = subprocess.run(
        [sys.executable, "-m", "scotopic", "enhance", os.fsencode(odd)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (card / "A" / os.fsdecode(b"IMG_\xff\xe9-scotopic.jpg")).is_file()


def test_both_ways_know_x_trans_and_a_bayer_model_says_that_it_does_not(tmp_path, photo):
    from scotopic.frame import X_TRANS

    raw = tmp_path / "x.dng"
    scene = np.tile(photo, (3, 2, 1))[:516, :516]  # LibRaw wants 512 at least
    mosaic = expose(scene, sony_a7s2(800), 30, np.random.default_rng(0), cfa=X_TRANS)
    write_mosaic(raw, mosaic)
    done = scotopic("enhance", raw, "--model", "bayer-fast")
    assert done.returncode == 1
    assert "xtrans" in done.stderr
    assert names(tmp_path) == ["x.dng"]
    told = scotopic("enhance", "--json", raw)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["model"].startswith("xtrans-fast")
    for command in ("develop", "compare", "info"):
        assert scotopic(command, raw).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["enhance", ""], "a name is empty"),
        (["info", ""], "a name is empty"),
        (["enhance", SAMPLE, "-o", "-"], "do not go to standard output"),
        (["enhance", SAMPLE, "--tier", "best", "--model", "bayer-fast"], "leave one of them out"),
        (["enhance", SAMPLE, "-o", "a.jpg", "--dng-compression", "jxl"], "is for DNGs"),
        (["enhance", SAMPLE, "-o", "a.jpg", "--dng-white", "sensor"], "is for DNGs"),
        (["simulate", "photo", "a.jpg", "b.jpg"], "ends in .dng"),
        *(
            ([command, "s3://shoot/a.dng"], "s3://shoot/a.dng: is no file or folder of this machine; copy")
            for command in ("develop", "info", "compare")
        ),
        (["enhance", "file:///a.dng"], "file:///a.dng: give the plain path, without file://"),
        (["compare", SAMPLE, "-o", "s3://shoot/out"], "s3://shoot/out: is no file or folder"),
        (["compare", SAMPLE, "-o", "cmp/a.jpg"], "cmp/a.jpg: is named as a picture, and -o is a folder"),
        (["compare", SAMPLE, "--look", "linear"], "'linear' is not one of 'natural', 'libraw'"),
        *(
            (words, "no/x.json: there is no folder no; make it first")
            for words in (
                ["calibrate", "--dark", ".", "-o", "no/x.json"],
                ["evaluate", "synthetic", "-o", "no/x.json"],
                ["enhance", SAMPLE, "-o", "out", "--journal", "no/x.json"],
            )
        ),
        (["simulate", "photo", "a.jpg", "no/x.dng"], "no/x.dng: there is no folder no; make it first"),
        (["enhance", SAMPLE, "-o", "out", "--journal", "."], ".: is a folder, and a journal is a file"),
        (["compare", SAMPLE, "-o", "-"], "do not go to standard output"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(tmp_path, words, said):
    done = scotopic(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["enhance", "a.dng", "--strength", "nan"], "1"),
        (["enhance", "a.dng", "--workers", "0"], "1"),
        (["enhance", "a.dng", "--ratio", "much"], "number"),
        (["enhance", "a.dng", "--look", "nice"], "natural"),
        (["develop", "a.dng", "--format", "gif"], "avif"),
        (["serve", "--port", "99999"], "65535"),
        (["evaluate", "synthetic", "--passes", "9"], "4"),
    ],
)
def test_what_is_wrong_with_an_options_value_is_said_in_no_librarys_words(words, needed):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert words[-1] in said
    assert needed in said.partition("Invalid value")[2]
    assert not re.search("Value error|[Ii]nput should|validation error", said)


@pytest.mark.parametrize(
    "words",
    [
        "simulate photo none a.dng",
        "simulate photo a.jpg a.dng --profile none",
        "simulate sid a --photos none",
        "simulate sid a --metadata none",
        "models export none a",
        "models export a b --facts none",
        "train scotopic --data none --out a",
        "serve --certificate none --key a.pem",
        "enhance --watch none -o a",
        "evaluate pairs none",
        "calibrate --dark none -o a.json",
        "info none",
    ],
)
def test_a_file_or_folder_that_is_not_there_is_told_so_by_its_name(tmp_path, monkeypatch, words):
    for extra in ("torch", "skimage", "fastapi"):
        pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code in (1, 2)
    assert re.search("none: there is no such (file|folder)", done.stderr), done.stderr
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"splits": {}}'])
def test_a_table_of_scenes_that_is_none_is_refused_in_plain_words(tmp_path, content):
    (tmp_path / "j.json").write_text(content)
    done = CliRunner().invoke(
        app, ["simulate", "sid", str(tmp_path / "a"), "--metadata", str(tmp_path / "j.json")]
    )
    assert "is no table of scenes" in done.stderr
    assert "Error(" not in done.stderr


@pytest.mark.parametrize(("word", "kind"), [("jpeg", "jpg"), ("TIF", "tiff"), ("Png", "png")])
def test_a_format_goes_by_every_ending_of_its_files_in_any_case(word, kind):
    done = CliRunner().invoke(app, ["develop", str(SAMPLE), "--format", word, "--dry-run"])
    assert f"-traditional.{kind} " in done.stdout


def test_a_name_that_a_terminal_would_obey_is_told_in_one_plain_line(tmp_path):
    raw = tmp_path / "a\nb\x1b[2J.dng"
    raw.write_bytes(SAMPLE.read_bytes()[:1000])
    for command in ("info", "enhance"):
        done = scotopic(command, raw)
        assert done.returncode == 1
        assert "\x1b" not in done.stdout + done.stderr
        assert "a\\nb\\x1b[2J.dng" in done.stderr


def test_the_results_of_a_comparison_are_told_in_a_plain_line_each(tmp_path, dark):
    folder = tmp_path / "a\nb"
    folder.mkdir()
    write_mosaic(folder / "c\x1b[2J.dng", dark)
    done = scotopic("compare", folder / "c\x1b[2J.dng")
    assert done.returncode == 0, done.stderr
    shown = f"{tmp_path}/a\\nb/c\\x1b[2J-compare"
    assert done.stdout.splitlines() == [f"{shown}.jpg", f"{shown}.html"]


def test_files_that_cannot_be_used_are_told_in_a_line_each_whatever_their_names_hold(tmp_path):
    for needed in ("scipy", "skimage", "bm3d"):
        pytest.importorskip(needed, reason="the evaluate extra is not installed")
    for part in ("short", "long"):
        (tmp_path / part).mkdir()
        for name in ("a\nb\x1b[2J.dng", "c.dng"):
            (tmp_path / part / name).write_bytes(b"\xff\xd8\xff\xe0 no mosaic")
    done = scotopic("evaluate", "pairs", tmp_path)
    assert done.returncode == 1
    head, first, second = done.stderr.splitlines()
    assert head == "scotopic: these files cannot be used:"
    assert first.startswith(f"  {tmp_path}/short/a\\nb\\x1b[2J.dng: ")
    assert second.startswith(f"  {tmp_path}/short/c.dng: ")


@pytest.mark.skipif(os.name != "posix" or shutil.which("bash") is None, reason="needs bash")
def test_a_home_that_may_not_be_written_is_told_when_completion_is_installed(tmp_path):
    tmp_path.chmod(0o555)
    # As root nothing is forbidden, so the mode alone would tell nothing.
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if drop and shutil.which("setpriv") is None:
        pytest.skip("as root this needs setpriv")
    done = subprocess.run(
        # From a shell, which is looked for among the processes above; two commands, so that it stays there.
        [*drop, "bash", "-c", '"$0" -m scotopic --install-completion bash; exit $?', sys.executable],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "could not be written (Permission denied)" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["info", SAMPLE], ["--help"]])
def test_a_full_standard_output_is_told(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "scotopic", *map(str, words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("scotopic: standard output cannot be written")
    assert "Traceback" not in done.stderr


def test_what_cannot_be_written_elsewhere_is_not_told_of_standard_output():
    full = "import errno; from scotopic import cli\ndef app(): raise OSError(errno.ENOSPC, 'no room')\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{full}cli.app = app; cli.main()"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr == "scotopic: a file: could not be written (no room); make room first\n"


def test_a_run_that_only_found_results_spoils_no_resume(card, tmp_path):
    out = tmp_path / "out"
    assert scotopic("enhance", card, "-o", out).returncode == 0
    assert scotopic("enhance", card, "-o", out).returncode == 1
    again = scotopic("enhance", card, "-o", out, "--resume")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done already") == 3


def test_results_of_other_settings_are_told_of_once_and_kept(card, tmp_path):
    out = tmp_path / "out"
    assert scotopic("enhance", card, "-o", out, "--ratio", 50).returncode == 0
    before = {path: path.read_bytes() for path in out.rglob("*.jpg")}
    again = scotopic("enhance", card, "-o", out, "--ratio", 60, "--resume")
    assert again.returncode == 1
    first, more, end = again.stderr.splitlines()
    assert "exists already and is kept, made with other settings (ratio was 50.0, now 60.0)" in first
    assert "another folder (-o)" in first
    assert more == "2 more are kept, made with other settings, too: --overwrite makes all anew"
    assert end == "3 files: 3 failed"
    told = scotopic("enhance", card, "-o", out, "--ratio", 60, "--resume", "--json")
    rows = list(map(json.loads, told.stdout.splitlines()))
    assert ["ratio was 50.0, now 60.0" in row["error"] for row in rows] == [True] * 3
    assert {path: path.read_bytes() for path in before} == before
    anew = scotopic("enhance", card, "-o", out, "--ratio", 60, "--resume", "--overwrite")
    assert anew.returncode == 0, anew.stderr
    assert scotopic("enhance", card, "-o", out, "--ratio", 60, "--resume").stdout.count("done already") == 3


def test_of_a_file_that_names_no_maker_or_hits_a_fault_info_tells_and_goes_on(tmp_path, photo, monkeypatch):
    mosaic = expose(photo[:96, :128], sony_a7s2(800), 60, np.random.default_rng(0))
    for name, make in (("a.dng", "\t"), ("b.dng", "SONY"), ("c.dng", "SONY"), ("d.dng", "SONY")):
        write_mosaic(
            tmp_path / name, mosaic.with_changes(make=make, exif=Exif({0x010F: make, 0x0110: "X"}, {}, {}))
        )
    plain = sys.modules["scotopic.read"].read
    faults = {"b.dng": MemoryError(), "c.dng": KeyError("a fault")}

    def read(path):
        if path.name in faults:
            raise faults[path.name]
        return plain(path)

    monkeypatch.setattr(sys.modules["scotopic.read"], "read", read)
    told = CliRunner().invoke(app, ["info", str(tmp_path), "--json"])
    assert told.exit_code == 1
    a, b, c, d = map(json.loads, told.stdout.splitlines())
    assert [row["status"] for row in (a, b, c, d)] == ["ok", "failed", "failed", "ok"]
    assert "not enough memory" in b["error"]
    assert "c.dng: a fault in scotopic (KeyError" in c["error"]
    words = CliRunner().invoke(app, ["info", str(tmp_path / "a.dng"), str(tmp_path / "d.dng")])
    assert words.exit_code == 0, words.output
    assert [line.split()[1:] for line in words.stdout.splitlines() if "camera " in line] == [
        ["?", "X"],
        ["SONY", "X"],
    ]
