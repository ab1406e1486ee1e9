"""Two photos may bear one name, and runs follow each other: whose a result is, and what a journal remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError, WriteError
from scotopic.jobs.journal import NAME, Journal
from scotopic.jobs.layout import Names, find_files
from scotopic.jobs.past import Past
from scotopic.metadata import Exif
from scotopic.sensor import expose, sony_a7s2

MORNING, EVENING = "2026:05:01 09:00:00", "2026:05:01 21:00:00"


def taken(path: Path, when: str, rng) -> Path:
    """A RAW file of a photo taken then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    light = rng.uniform(0.1, 0.6, (48, 64, 3))
    exif = Exif({0x010F: "SONY", 0x0110: "ILCE-7SM2"}, {0x9003: when}, {})
    write_mosaic(path, expose(light, sony_a7s2(800), 20, rng).with_changes(exif=exif))
    return path


def enhance(*words: object) -> tuple[int, list[dict[str, object]], str]:
    done = CliRunner().invoke(app, ["enhance", *map(str, words), "--ratio", "20", "--json"])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def names(past: Path | None, out: Path, *sources: Path, kind: str = "jpg") -> list[str]:
    given = Names(out, kind, "scotopic", Past.read(past / NAME) if past is not None else None)
    return [given.job(source, source.parent).target.name for source in sources]


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def test_a_second_cameras_photo_of_the_same_name_is_no_result_of_the_first(tmp_path, out, rng):
    first = taken(tmp_path / "A" / "DSC1.dng", MORNING, rng)
    second = taken(tmp_path / "B" / "DSC1.dng", MORNING, rng)
    assert enhance(first.parent, "-o", out)[0] == 0
    before = (out / "DSC1-scotopic.jpg").read_bytes()
    status, rows, _ = enhance(second.parent, "-o", out, "--skip-existing")
    assert (status, [row["status"] for row in rows]) == (0, ["done"])
    assert rows[0]["output"] == str(out / "DSC1_dng-scotopic.jpg")
    assert (out / "DSC1-scotopic.jpg").read_bytes() == before
    for folders in ([first.parent, second.parent], [second.parent, first.parent]):
        status, rows, words = enhance(*folders, "-o", out, "--resume")
        assert (status, {row["status"] for row in rows}) == (0, {"skipped"}), words
        assert {row["file"]: row["output"] for row in rows} == {
            str(first): str(out / "DSC1-scotopic.jpg"),
            str(second): str(out / "DSC1_dng-scotopic.jpg"),
        }


def test_a_file_that_comes_between_runs_takes_no_others_name(tmp_path, out, rng):
    folder = tmp_path / "C"
    taken(folder / "DSC1.nef", MORNING, rng)
    taken(folder / "X.dng", MORNING, rng)
    assert enhance(folder, "-o", out)[0] == 0
    taken(folder / "DSC1.arw", MORNING, rng)
    status, rows, words = enhance(folder, "-o", out, "--resume")
    assert status == 0, words
    assert {(Path(row["file"]).name, row["status"], Path(row["output"]).name) for row in rows} == {
        ("DSC1.arw", "done", "DSC1_arw-scotopic.jpg"),
        ("DSC1.nef", "skipped", "DSC1-scotopic.jpg"),
        ("X.dng", "skipped", "X-scotopic.jpg"),
    }


def test_another_card_at_the_same_place_holds_other_photos(tmp_path, out, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    source.unlink()
    taken(source, EVENING, rng)
    assert names(out, out, source) == ["DSC1_dng-scotopic.jpg"]
    # Even where no journal knows: by the result's own EXIF.
    (out / NAME).unlink()
    assert names(out, out, source) == ["DSC1_dng-scotopic.jpg"]
    taken(source, MORNING, rng)
    assert names(out, out, source) == ["DSC1-scotopic.jpg"]


def test_a_photo_that_was_written_into_or_moved_is_the_same_photo(tmp_path, out, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    moved = tmp_path / "archive" / "DSC1.dng"
    moved.parent.mkdir()
    source.rename(moved)
    status, rows, words = enhance(moved.parent, "-o", out, "--resume")
    assert (status, rows[0]["status"]) == (0, "skipped"), words
    moved.rename(source)
    with source.open("ab") as file:
        file.write(b"edited")
    assert names(out, out, source) == ["DSC1-scotopic.jpg"]
    status, rows, _ = enhance(source.parent, "-o", out, "--resume")
    assert status == 1
    assert "has changed since" in str(rows[0]["error"])
    assert enhance(source.parent, "-o", out, "--resume", "--overwrite")[1][0]["status"] == "done"


def test_a_name_whose_result_and_photo_are_gone_is_free(tmp_path, out, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    (out / "DSC1-scotopic.jpg").unlink()
    other = taken(tmp_path / "other" / "DSC1.dng", EVENING, rng)
    assert names(out, out, other) == ["DSC1_dng-scotopic.jpg"]
    source.unlink()
    assert names(out, out, other) == ["DSC1-scotopic.jpg"]


def test_deleted_photos_and_previews_of_others_are_passed_by(tmp_path, rng):
    kept = taken(tmp_path / "card" / "DCIM" / "a.dng", MORNING, rng)
    for hidden in (".Trashes/501", ".Trash-1000/files", "@eaDir", "#recycle", "$RECYCLE.BIN"):
        taken(tmp_path / "card" / hidden / "b.dng", MORNING, rng)
    assert [source for source, _ in find_files([tmp_path / "card"])] == [kept]


JPEG, DNG = {"kind": "jpg"}, {"kind": "dng"}


def test_runs_with_other_settings_leave_an_interrupted_run_to_be_gone_on_with(tmp_path):
    place = tmp_path / NAME
    with Journal(place, JPEG) as journal:
        journal.note("done", "/a.arw", "/o/a.jpg", size=1, mtime_ns=1)
        journal.note("started", "/b.arw", "/o/b.jpg", process=1)
    with Journal(place, DNG) as journal:
        assert not journal.interrupted
        journal.note("done", "/a.arw", "/o/a.dng", size=1, mtime_ns=1)
        journal.finish()
    with Journal(place, DNG) as journal:
        # Nothing came of this one.
        journal.forget()
    with Journal(place, JPEG, resume=True) as journal:
        assert journal.interrupted
        assert (set(journal.ended), set(journal.begun)) == ({"/o/a.jpg"}, {"/o/b.jpg"})
        journal.note("done", "/b.arw", "/o/b.jpg", size=1, mtime_ns=1)
        journal.finish()
    with Journal(place, DNG, resume=True) as journal:
        assert set(journal.ended) == {"/o/a.dng"}


def test_after_a_finished_run_others_may_go_on_and_after_an_interrupted_one_not(tmp_path):
    place = tmp_path / NAME
    with Journal(place, JPEG) as journal:
        journal.finish()
    with Journal(place, DNG, resume=True):
        pass
    with pytest.raises(SettingsError, match="kind was dng, now png"):
        Journal(place, {"kind": "png"}, resume=True)


def test_a_result_made_anew_with_other_settings_is_not_done_with_the_first(tmp_path):
    place = tmp_path / NAME
    for settings in ({"ratio": "20"}, {"ratio": "30"}):
        with Journal(place, settings) as journal:
            journal.note("done", "/a.arw", "/o/a.jpg", size=1, mtime_ns=1)
            journal.finish()
    with Journal(place, {"ratio": "20"}, resume=True) as journal:
        assert not journal.ended


def test_a_file_that_is_no_journal_is_kept(tmp_path):
    photo = tmp_path / "IMG_1.arw"
    photo.write_bytes(b"II*\0 and a picture")
    with pytest.raises(WriteError, match="is no journal of scotopic"):
        Journal(photo, JPEG)
    assert photo.read_bytes() == b"II*\0 and a picture"


def test_a_run_that_leaves_nothing_leaves_the_journal_as_it_was(tmp_path):
    place = tmp_path / NAME
    with Journal(place, JPEG) as journal:
        journal.forget()
    assert not place.exists()
    with Journal(place, JPEG) as journal:
        journal.note("done", "/a.arw", "/o/a.jpg")
        journal.finish()
    before = place.read_bytes()
    with Journal(place, DNG) as journal:
        journal.note("failed", "/a.arw", "/o/a.dng")
        journal.forget()
    assert place.read_bytes() == before
