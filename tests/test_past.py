"""Two photos may bear one name, and runs follow each other: whose a result is, and what a journal remembers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scotopic.batch import Job, Outcome, treated
from scotopic.cli import app
from scotopic.disk.files import state_of
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError, WriteError
from scotopic.jobs.journal import NAME, Journal, settings_in_words
from scotopic.jobs.layout import Names, find_files
from scotopic.jobs.past import Past
from scotopic.jobs.session import Session
from scotopic.jobs.watch import Watch
from scotopic.jobs.worker import ModelChoice
from scotopic.metadata import Exif
from scotopic.models import find
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings

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
    assert [found.source for found in find_files([tmp_path / "card"])] == [kept]


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
    with pytest.raises(SettingsError, match=r"kind was dng, now png.*with --overwrite for the results"):
        Journal(place, {"kind": "png"}, resume=True)


WITHOUT_PASSES = {
    **{"ratio": "20.0", "ev": "None", "strength": "1.0", "look": "None", "wb": "camera", "space": "srgb"},
    **{"kind": "jpg", "bits": "None", "dng_compression": "none", "way": "scotopic", "strip_gps": "False"},
    "again": "False",
}
"""What a journal said of a run when there were neither passes nor a DNG's white level to choose."""


@pytest.mark.parametrize(
    ("now", "version", "words"),
    [
        (Settings(ratio=20.0), "1", ""),
        (Settings(ratio=20.0, passes=2), "1", "passes was 1, now 2"),
        (Settings(ratio=20.0), "2", "model was"),
    ],
)
def test_a_run_is_gone_on_with_though_there_are_settings_now_that_it_did_not_know(
    tmp_path, now, version, words
):
    card = find("bayer-fast")
    model = settings_in_words(now, replace(card, version="1"))["model"]
    head = {"scotopic": "0.2.0", "journal": 3, "began": "", "settings": {**WITHOUT_PASSES, "model": model}}
    done = {"status": "done", "file": "a.arw", "output": "a.jpg", "size": 1, "mtime_ns": 1}
    place = tmp_path / NAME
    place.write_text(f"{json.dumps(head)}\n{json.dumps(done)}\n")
    settings = settings_in_words(now, replace(card, version=version))
    if words:
        with pytest.raises(SettingsError, match=rf"other settings \({words}[^;]*\)"):
            Journal(place, settings, resume=True)
        return
    with Journal(place, settings, resume=True) as journal:
        assert set(journal.ended) == {str(tmp_path / "a.jpg")}
        journal.finish()
    assert not Journal(place, settings).interrupted


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


def test_a_run_that_ends_before_it_began_anything_leaves_the_journal_as_it_was(tmp_path):
    place = tmp_path / NAME

    def fail(*begun: str) -> None:
        with Journal(place, JPEG) as journal:
            for file in begun:
                journal.note("started", file, "/o/a.jpg")
            raise WriteError("no room")

    with pytest.raises(WriteError, match="no room"):
        fail()
    assert not place.exists()
    with pytest.raises(WriteError, match="no room"):
        fail("/a.arw")
    before = place.read_bytes()
    assert b"started" in before
    with pytest.raises(WriteError, match="no room"):
        fail()
    assert place.read_bytes() == before


def test_the_result_of_another_photo_is_not_said_to_have_changed(tmp_path, rng):
    first, second = (taken(tmp_path / name, MORNING, rng) for name in ("DSC1.dng", "DSC2.dng"))
    target, place = tmp_path / "picture.jpg", tmp_path / "journal"
    assert enhance(first, "-o", target, "--journal", place)[0] == 0
    status, rows, _ = enhance(second, "-o", target, "--journal", place, "--resume")
    assert status == 1
    assert "exists already" in str(rows[0]["error"])
    first.write_bytes(second.read_bytes())
    _, rows, _ = enhance(first, "-o", target, "--journal", place, "--resume")
    assert "has changed since" in str(rows[0]["error"])


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


def test_what_a_killed_run_had_begun_and_made_is_no_other_photos(tmp_path, out, rng):
    first = taken(tmp_path / "A" / "DSC1.dng", MORNING, rng)
    assert enhance(first.parent, "-o", out)[0] == 0
    lines = [
        line for line in (out / NAME).read_text().splitlines() if '"started"' in line or "settings" in line
    ]
    (out / NAME).write_text("".join(f"{line}\n" for line in lines))
    # Of one time and camera: the result's EXIF tells nothing.
    second = taken(tmp_path / "B" / "DSC1.dng", MORNING, rng)
    assert names(out, out, second, first) == ["DSC1_dng-scotopic.jpg", "DSC1-scotopic.jpg"]
    with (out / NAME).open("a") as journal:
        journal.write(lines[-1].replace('"started"', '"failed"') + "\n")
    assert names(out, out, second) == ["DSC1-scotopic.jpg"]


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


SETTINGS = {"kind": "jpg"}


class Watched:
    """A watch whose files settle at once, and whose results are only said to be made."""

    def __init__(
        self,
        folder: Path,
        out: Path,
        past: Past | None = None,
        settings: dict[str, str] | None = SETTINGS,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.words: list[str] = []
        self._meanwhile = meanwhile
        given = Names(out, "jpg", "scotopic", past or Past())
        self._watch = Watch([folder], given, enhanced=False, settings=settings, tell=self.words.append)
        self._session = Session(None, Settings(), learn=self._watch.learn)

    def come(self) -> list[str]:
        """The results of what comes now; one that takes another's place is marked."""
        made = []
        for job, _ in zip(self._watch, range(4), strict=False):
            if job is not None:
                made.append(job)
                self._session._begin(job, 1)
                job.target.parent.mkdir(exist_ok=True)
                job.target.write_bytes(job.source.read_bytes())
                self._meanwhile()
                self._watch.note(self._session._noted(Outcome(job, "done", 0.0)))
        return [job.target.name + ("!" if job.replaces else "") for job in made]


@pytest.fixture
def at_once(monkeypatch) -> None:
    for name in ("SETTLED_S", "LOOK_S", "LOOK_MAX_S"):
        monkeypatch.setattr(f"scotopic.jobs.watch.{name}", 0.0)


def test_another_card_at_the_place_of_a_watched_one_is_looked_at(tmp_path, out, rng, at_once):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    watched = Watched(source.parent, out)
    assert watched.come() == ["DSC1-scotopic.jpg"]
    assert watched.come() == []
    taken(source, EVENING, rng)
    assert watched.come() == ["DSC1_dng-scotopic.jpg"]
    assert watched.words == []


def test_what_was_half_there_when_a_watch_took_it_is_made_anew(tmp_path, out, rng, at_once):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    whole = source.read_bytes()
    source.write_bytes(whole[:2000] + bytes(500) + whole[2500:])
    watched = Watched(source.parent, out)
    assert watched.come() == ["DSC1-scotopic.jpg"]
    source.write_bytes(whole)
    assert watched.come() == ["DSC1-scotopic.jpg!"]
    assert watched.come() == []
    (words,) = watched.words
    assert "DSC1.dng: has changed since" in words
    assert "made anew" in words


def test_a_result_that_somebody_has_changed_is_kept_though_its_source_changes(tmp_path, out, rng, at_once):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    watched = Watched(source.parent, out)
    assert watched.come() == ["DSC1-scotopic.jpg"]
    (out / "DSC1-scotopic.jpg").write_text("somebody's own work")
    with source.open("ab") as file:
        file.write(b"edited")
    assert watched.come() == []
    (words,) = watched.words
    assert "is kept" in words
    assert watched.come() == []
    assert len(watched.words) == 1


@pytest.mark.parametrize(("by_watch", "old"), [(True, False), (True, True), (False, False)])
def test_a_later_watch_makes_anew_what_an_earlier_one_made_and_no_other_run(
    tmp_path, out, rng, at_once, by_watch, old
):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    result = out / "DSC1-scotopic.jpg"
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    settings = dict(lines[0]["settings"])
    if old:
        # As it was written when there were no passes.
        del lines[0]["settings"]["passes"]
    if by_watch:
        made = {"result": state_of(result)}
        lines = [line | made if line.get("status") == "done" else line for line in lines]
        (out / NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert Watched(source.parent, out, Past.read(out / NAME), settings).come() == []
    with source.open("ab") as file:
        file.write(b"edited")
    for others in ({**settings, "ev": "1.0"}, None):
        watched = Watched(source.parent, out, Past.read(out / NAME), others)
        assert watched.come() == []
        assert "is kept" in watched.words[0]
    watched = Watched(source.parent, out, Past.read(out / NAME), settings)
    assert watched.come() == (["DSC1-scotopic.jpg!"] if by_watch else [])
    assert ("made anew" if by_watch else "is kept") in watched.words[0]


def test_another_photo_that_comes_while_the_first_is_worked_on_takes_nobodys_result(
    tmp_path, out, rng, at_once
):
    source = taken(tmp_path / "card" / "capture.dng", MORNING, rng)
    evening = taken(tmp_path / "evening.dng", EVENING, rng)
    watched = Watched(source.parent, out, meanwhile=lambda: evening.exists() and evening.replace(source))
    assert watched.come() == ["capture-scotopic.jpg", "capture_dng-scotopic.jpg"]
    assert watched.come() == []
    assert watched.words == []


def test_a_result_of_the_same_size_and_time_that_is_another_file_is_kept(tmp_path, out, rng, at_once):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    watched = Watched(source.parent, out)
    assert watched.come() == ["DSC1-scotopic.jpg"]
    result = out / "DSC1-scotopic.jpg"
    before = result.stat()
    (out / "new").write_bytes(result.read_bytes()[::-1])
    os.utime(out / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (out / "new").replace(result)
    with source.open("ab") as file:
        file.write(b"edited")
    assert watched.come() == []
    assert "is kept" in watched.words[0]


def test_lines_of_a_journal_whose_places_are_no_text_are_passed_by(tmp_path):
    (tmp_path / NAME).write_text(
        '{"scotopic": "1", "journal": 3}\n{"status": "done", "file": null, "output": "a.jpg"}\n'
    )
    assert Past.read(tmp_path / NAME).line_of_result(str(tmp_path / "a.jpg")) is None


def test_a_watched_folder_that_goes_and_comes_is_told_once_each(tmp_path, out, rng, at_once):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    watched = Watched(source.parent, out)
    assert watched.come() == ["DSC1-scotopic.jpg"]
    source.parent.rename(tmp_path / "pulled")
    assert watched.come() == watched.come() == []
    (tmp_path / "pulled").rename(source.parent)
    taken(source.with_name("DSC2.dng"), EVENING, rng)
    assert watched.come() == ["DSC2-scotopic.jpg"]
    gone, back = watched.words
    assert gone.startswith(f"{source.parent}: has vanished")
    assert back == f"{source.parent}: is back"


def test_a_result_that_may_be_replaced_is_not_once_somebody_has_changed_it(tmp_path, rng):
    source, target = taken(tmp_path / "DSC1.dng", MORNING, rng), tmp_path / "DSC1.jpg"
    target.write_text("a result")
    job = Job(source, target, replaces=state_of(target))
    target.write_text("a changed result")
    models = ModelChoice(device="cpu").models()
    made = treated(job, Settings(), models)
    assert (made.status, made.fault) == ("failed", "FileExistsRefusal")
    assert target.read_text() == "a changed result"
    job = Job(source, target, replaces=state_of(target))
    assert treated(job, Settings(), models).status == "done"
    assert target.read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("how", ["moved", "through a link"])
def test_a_folder_of_results_at_another_path_is_gone_on_with(tmp_path, rng, how):
    card, out, elsewhere = tmp_path / "card", tmp_path / "out", tmp_path / "elsewhere"
    taken(card / "sub" / "DSC1.dng", MORNING, rng)
    taken(card / "DSC2.dng", EVENING, rng)
    assert enhance(card, "-o", out)[0] == 0
    if how == "moved":
        out.rename(elsewhere)
    else:
        elsewhere.symlink_to(out)
    status, rows, words = enhance(card, "-o", elsewhere, "--resume")
    assert (status, [row["status"] for row in rows]) == (0, ["skipped"] * 2), words


def test_photos_that_are_named_through_a_link_are_the_same_photos(tmp_path, out, rng):
    card, link = tmp_path / "card", tmp_path / "link"
    source = taken(card / "DSC1.dng", MORNING, rng)
    link.symlink_to(card)
    assert find_files([link, card]) == [(link / "DSC1.dng", link, False)]
    # Links to files, hard ones too, are photos of their own.
    (card / "DSC2.dng").symlink_to(source)
    (card / "DSC3.dng").hardlink_to(source)
    assert len(find_files([card, link])) == 3
    assert enhance(card, "-o", out)[0] == 0
    status, rows, words = enhance(link, "-o", out, "--resume")
    assert (status, [row["status"] for row in rows]) == (0, ["skipped"] * 3), words


def test_photos_and_results_that_move_together_are_gone_on_with(tmp_path, rng):
    taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(tmp_path / "card")[0] == 0
    (tmp_path / "card").rename(tmp_path / "moved")
    # Another card at the old place.
    taken(tmp_path / "card" / "DSC1.dng", EVENING, rng)
    status, rows, words = enhance(tmp_path / "moved", "--resume")
    assert (status, [row["status"] for row in rows]) == (0, ["skipped"]), words


def test_a_journal_with_whole_paths_is_still_read(tmp_path, out, rng):
    taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(tmp_path / "card", "-o", out)[0] == 0
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    lines[0]["journal"] = 2
    for line in lines:
        if "output" in line:
            assert line["output"] == "DSC1-scotopic.jpg"
            line["output"] = str(out / line["output"])
    (out / NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    status, rows, words = enhance(tmp_path / "card", "-o", out, "--resume")
    assert (status, [row["status"] for row in rows]) == (0, ["skipped"]), words


def test_a_result_of_which_a_power_cut_left_the_name_alone_is_made_anew(tmp_path, out, rng):
    taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(tmp_path / "card", "-o", out)[0] == 0
    (out / "DSC1-scotopic.jpg").write_bytes(b"")
    status, rows, words = enhance(tmp_path / "card", "-o", out, "--resume")
    assert (status, rows[0]["status"]) == (0, "done"), words
    assert (out / "DSC1-scotopic.jpg").stat().st_size > 0


def test_two_cameras_at_the_same_second_are_told_apart_by_their_results(tmp_path, out, rng):
    source = taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    assert enhance(source.parent, "-o", out)[0] == 0
    (out / NAME).unlink()
    assert names(out, out, source) == ["DSC1-scotopic.jpg"]
    other = taken(tmp_path / "other" / "DSC1.dng", MORNING, rng, model="ILCE-7M3")
    assert names(out, out, other) == ["DSC1_dng-scotopic.jpg"]


def test_when_a_photo_was_taken_says_its_decoder_and_this_process_does_not_look(
    tmp_path, out, rng, monkeypatch
):
    looked_at = []
    monkeypatch.setattr("scotopic.jobs.past.read_tags", looked_at.append)
    taken(tmp_path / "card" / "DSC1.dng", MORNING, rng)
    taken(tmp_path / "card" / "DSC2.dng", "", rng)
    assert enhance(tmp_path / "card", "-o", out)[0] == 0
    lines = map(json.loads, (out / NAME).read_text().splitlines())
    when = {line["file"]: line["taken"] for line in lines if line.get("status") == "done"}
    assert [when[file] for file in sorted(when)] == [MORNING, ""]
    assert not looked_at


def test_of_a_photo_that_has_changed_since_it_was_begun_no_time_is_noted(tmp_path, out, rng):
    source = taken(tmp_path / "DSC1.dng", MORNING, rng)
    job, told = Job(source, out / "DSC1.jpg"), []
    session = Session(None, Settings(), learn=told.append)
    for facts in ({"taken": MORNING}, {}):
        session._begin(job, 1)
        session._noted(Outcome(job, "done", 1.0, facts))
    with source.open("ab") as file:
        file.write(b"edited")
    session._noted(Outcome(job, "done", 1.0, {"taken": MORNING}))
    assert [line.get("taken") for line in told] == [MORNING, MORNING, None]


def test_what_needs_no_work_is_told_before_any_process_is_started(tmp_path, out, rng, monkeypatch):
    card = tmp_path / "card"
    taken(card / "DSC1.dng", MORNING, rng)
    assert enhance(card, "-o", out)[0] == 0

    def start(*_: object, **__: object) -> None:
        raise SettingsError("no process is started here")

    monkeypatch.setattr("scotopic.jobs.session.Workers", start)
    for choice in ("--resume", "--skip-existing"):
        status, rows, words = enhance(card, "-o", out, choice)
        assert (status, [row["status"] for row in rows]) == (0, ["skipped"]), words
    taken(card / "DSC2.dng", EVENING, rng)
    status, rows, words = enhance(card, "-o", out, "--resume")
    assert [row["status"] for row in rows] == ["skipped"]
    assert "no process is started here" in words
