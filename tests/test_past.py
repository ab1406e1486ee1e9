"""Two photos may bear one name, and runs follow each other: whose a result is, and what a journal remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scotopic.batch import Outcome
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError, WriteError
from scotopic.jobs.journal import NAME, Journal
from scotopic.jobs.layout import Names, find_files
from scotopic.jobs.past import Past
from scotopic.jobs.watch import Watch
from scotopic.metadata import Exif
from scotopic.sensor import expose, sony_a7s2

MORNING, EVENING = "2026:05:01 09:00:00", "2026:05:01 21:00:00"


def taken(path: Path, when: str, rng, model: str = "ILCE-7SM2") -> Path:
    """A RAW file of a photo taken then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    light = rng.uniform(0.1, 0.6, (48, 64, 3))
    exif = Exif({0x010F: "SONY", 0x0110: model}, {0x9003: when}, {})
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


def test_an_interrupted_run_that_was_gone_on_with_stands_in_nobodys_way(tmp_path):
    place = tmp_path / NAME
    with Journal(place, JPEG):
        pass
    with Journal(place, JPEG, resume=True) as journal:
        journal.finish()
    with Journal(place, DNG, resume=True):
        pass


def test_what_a_run_with_other_settings_left_alone_is_still_done(tmp_path):
    place = tmp_path / NAME
    with Journal(place, {"ratio": "20"}) as journal:
        for name in ("a", "b", "c"):
            journal.note("done", f"/{name}.arw", f"/o/{name}.jpg", size=1, mtime_ns=1)
        journal.finish()
    with Journal(place, {"ratio": "30"}) as journal:
        for name, status in (("a", "failed"), ("b", "skipped")):
            journal.note("started", f"/{name}.arw", f"/o/{name}.jpg", process=1)
            journal.note(status, f"/{name}.arw", f"/o/{name}.jpg")
        # And here it was killed.
        journal.note("started", "/c.arw", "/o/c.jpg", process=1)
    with Journal(place, {"ratio": "20"}, resume=True) as journal:
        assert set(journal.ended) == {"/o/a.jpg", "/o/b.jpg"}


@pytest.mark.parametrize("unset", ["0000:00:00 00:00:00", "    :  :     :  :  ", ""])
def test_of_photos_whose_clock_was_not_set_none_is_taken_for_another(tmp_path, out, rng, unset):
    source = taken(tmp_path / "card" / "DSC1.dng", unset, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    before = (out / "DSC1-scotopic.jpg").read_bytes()
    taken(source, unset, rng)
    for allowed in ("--skip-existing", "--overwrite"):
        status, rows, words = enhance(source.parent, "-o", out, allowed)
        assert (status, rows[0]["output"]) == (0, str(out / "DSC1_dng-scotopic.jpg")), words
    assert (out / "DSC1-scotopic.jpg").read_bytes() == before


def test_lines_that_know_no_time_are_helped_by_the_result(tmp_path, out, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    for line in lines:
        line.pop("taken", None)
    lines[0]["journal"] = 1
    (out / NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with source.open("ab") as file:
        file.write(b"edited")
    assert names(out, out, source) == ["DSC1-scotopic.jpg"]
    source.unlink()
    taken(source, EVENING, rng)
    assert names(out, out, source) == ["DSC1_dng-scotopic.jpg"]


@pytest.mark.parametrize(("was_there", "status"), [(False, "skipped"), (True, "failed")])
def test_a_result_that_was_there_before_it_was_begun_is_not_what_a_killed_run_made(
    tmp_path, out, rng, was_there, status
):
    taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(tmp_path / "card", "-o", out)[0] == 0
    kept = []
    for line in (out / NAME).read_text().splitlines():
        entry = json.loads(line)
        if entry.get("status") not in ("done", "finished"):
            kept.append(
                json.dumps(entry | ({"was_there": was_there} if "was_there" in entry else {})) + "\n"
            )
    (out / NAME).write_text("".join(kept))
    assert enhance(tmp_path / "card", "-o", out, "--resume")[1][0]["status"] == status


def test_places_that_cannot_be_looked_at_and_torn_lines_stop_nobody(tmp_path, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    far = {
        "status": "done",
        "file": "/" + "x" * 5000 + "/DSC1.dng",
        "output": str(tmp_path / "DSC1-scotopic.jpg"),
    }
    past = Past([far, {"status": "done"}])
    assert (
        Names(tmp_path, "jpg", "scotopic", past).job(source, source.parent).target.name
        == "DSC1-scotopic.jpg"
    )


def test_another_card_at_the_place_of_a_watched_one_is_looked_at(tmp_path, out, rng, monkeypatch):
    monkeypatch.setattr("scotopic.jobs.watch.SETTLED_S", 0.0)
    monkeypatch.setattr("scotopic.jobs.watch.LOOK_S", 0.0)
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    given = Names(out, "jpg", "scotopic", Past())
    watch = Watch([source.parent], given, lambda job: job.target.exists(), enhanced=False)

    def come() -> list[str]:
        found = [job for job, _ in zip(watch, range(4), strict=False) if job is not None]
        for job in found:
            job.target.parent.mkdir(exist_ok=True)
            job.target.touch()
            watch.note(Outcome(job, "done", 0.0))
        return [job.target.name for job in found]

    assert come() == ["DSC1-scotopic.jpg"]
    with source.open("ab") as file:
        file.write(b"edited")
    assert come() == []
    taken(source, EVENING, rng)
    assert come() == ["DSC1_dng-scotopic.jpg"]


def test_two_cameras_at_the_same_second_are_told_apart_by_their_results(tmp_path, out, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    (out / NAME).unlink()
    assert names(out, out, source) == ["DSC1-scotopic.jpg"]
    other = taken(tmp_path / "other" / "DSC1.dng", MORNING, rng, model="ILCE-7M3")
    assert names(out, out, other) == ["DSC1_dng-scotopic.jpg"]
