"""Files elsewhere: in fsspec's own memory file system, which is as far from a disk as S3 is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (pip install '.[ray]')")

from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

from scotopic.batch import Job, Outcome  # noqa: E402
from scotopic.dng.write import write_mosaic  # noqa: E402
from scotopic.errors import ReadError, SettingsError, WriteError  # noqa: E402
from scotopic.jobs import storage  # noqa: E402
from scotopic.jobs.actor import Actor, Terms  # noqa: E402
from scotopic.jobs.cluster import RemoteOutcome, treat_remote  # noqa: E402
from scotopic.jobs.journal import NAME, Journal, settings_in_words  # noqa: E402
from scotopic.jobs.past import Past  # noqa: E402
from scotopic.jobs.resume import Item  # noqa: E402
from scotopic.jobs.session import Session  # noqa: E402
from scotopic.jobs.worker import ModelChoice  # noqa: E402
from scotopic.metadata import xmp  # noqa: E402
from scotopic.sensor.simulated import expose, sony_a7s2  # noqa: E402
from scotopic.settings import Settings  # noqa: E402


@pytest.fixture
def far(tmp_path, photo):
    """A bucket with two photos of one name and something else."""
    path = tmp_path / "x.dng"
    write_mosaic(path, expose(photo[:96, :128], sony_a7s2(800), 60, np.random.default_rng(0)))
    files = fsspec.filesystem("memory")
    for name in ("A/IMG_1.dng", "A/img_1.DNG", "B/IMG_2.dng"):
        files.pipe(f"/bucket/{name}", path.read_bytes())
    files.pipe("/bucket/A/notes.txt", b"no photo")
    files.pipe("/bucket/A/IMG_1-scotopic.dng", b"a result")
    yield files
    files.rm("/bucket", recursive=True)
    if files.exists("/out"):
        files.rm("/out", recursive=True)


def actor_here() -> Actor:
    choice = ModelChoice(device="cpu")
    return Actor(Settings(), choice, 1, Terms.of(choice))


def laid_out(*sources: str, output: str = "memory://out") -> list[storage.RemoteJob]:
    return storage.lay_out(list(sources), output, None, "scotopic", enhanced=False)[0]


def test_a_bucket_is_laid_out_as_a_folder_is(far):
    jobs = laid_out("memory://bucket")
    assert [job.source for job in jobs] == [
        "memory:///bucket/A/IMG_1.dng",
        "memory:///bucket/A/img_1.DNG",
        "memory:///bucket/B/IMG_2.dng",
    ]
    assert [job.target for job in jobs] == [
        "memory:///out/A/IMG_1-scotopic.jpg",
        "memory:///out/A/img_1_dng-scotopic.jpg",
        "memory:///out/B/IMG_2-scotopic.jpg",
    ]
    (single,) = laid_out("memory://bucket/B/IMG_2.dng")
    assert single.target == "memory:///out/IMG_2-scotopic.jpg"


@pytest.mark.parametrize("source", ["memory://bucket/B", "memory://bucket/B/IMG_2.dng"])
def test_a_folder_may_have_a_dot_however_many_photos_there_are(far, source):
    named = source.endswith(".dng")
    expected = pytest.raises(SettingsError, match="no picture format") if named else nullcontext()
    with expected:
        (job,) = laid_out(source, output="memory://out/results.2026")
        assert job.target == "memory:///out/results.2026/IMG_2-scotopic.jpg"


def test_what_is_named_twice_is_done_once(far, tmp_path):
    whole = laid_out("memory://bucket")
    overlapping = laid_out("memory://bucket/B/IMG_2.dng", "memory://bucket", "memory:///bucket/A/")
    assert {job.source for job in overlapping} == {job.source for job in whole}
    assert len(overlapping) == len(whole)
    card = tmp_path / "card"
    card.mkdir()
    for name in ("a.arw", "b.arw"):
        (card / name).write_bytes(b"a photo")
    (tmp_path / "link").symlink_to(card)
    for places in (
        [card / "a.arw", card],
        [card, f"file://{card}/"],
        [tmp_path / "link", card / ".." / "card"],
    ):
        jobs = laid_out(*map(str, places), output=str(tmp_path / "out"))
        assert [Path(job.source).name for job in jobs] == ["a.arw", "b.arw"]


def test_the_mark_of_a_folder_is_no_photo(monkeypatch):
    class Marked(MemoryFileSystem):
        def find(self, path: str, **_: object) -> dict[str, object]:
            return {f"{path}/{name}": {"size": 1} for name in ("a.dng", "folder.dng/")}

        def isdir(self, path: str) -> bool:
            return path == "/raws"

    monkeypatch.setattr(storage, "_system", lambda words: (Marked(), words.removeprefix("memory:/")))
    assert [job.name for job in laid_out("memory://raws")] == ["a.dng"]


def test_one_photo_goes_to_the_file_that_is_named(far, tmp_path):
    one = "memory://bucket/B/IMG_2.dng"
    for output in ("memory:///out/x.PNG", storage.address(str(tmp_path / "x.PNG"))):
        ((job,), kind) = storage.lay_out([one], output, None, "scotopic", enhanced=False)
        assert (job.target, kind) == (output, "png")
        with pytest.raises(SettingsError, match="is one file, but there are 3 pictures"):
            laid_out("memory://bucket", output=output)
        with pytest.raises(SettingsError, match=r"says png, --format says jpg"):
            storage.lay_out([one], output, "jpg", "scotopic", enhanced=False)
    with pytest.raises(SettingsError, match=r"no picture format called \.bmp"):
        laid_out(one, output="memory://out/x.bmp")
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(SettingsError, match="is a file, but a folder is needed"):
        laid_out(one, output=str(tmp_path / "x"))
    (tmp_path / "x.png").mkdir()
    (job,) = laid_out(one, output=str(tmp_path / "x.png"))
    assert storage.local_path(job.target) == tmp_path / "x.png" / "IMG_2-scotopic.jpg"
    made = tmp_path / "y.jpg"
    made.write_bytes(b"made")
    # fsspec finds a file that is named, and tells nothing of it.
    assert storage.existing(storage.address(str(made))) == {storage.address(str(made)): 4}


def test_a_result_takes_no_photos_place_elsewhere_either(far):
    with pytest.raises(SettingsError, match="is one of the photos to read"):
        storage.lay_out(["memory://bucket"], "memory://bucket", "dng", "scotopic", enhanced=True)


def test_photos_elsewhere_keep_their_results_names_in_later_runs(far, tmp_path):
    place = tmp_path / "j.jsonl"
    _, capital, other = laid_out("memory://bucket")

    def targets(past: Past) -> dict[str, str]:
        jobs, _ = storage.lay_out(
            ["memory://bucket"], "memory://out", None, "scotopic", past, enhanced=False
        )
        return {job.source.rpartition("bucket/")[2]: job.target.rpartition("out/")[2] for job in jobs}

    # Of an earlier run, when the other photo of this name was not there yet; it was interrupted.
    with journal_of(place) as journal:
        journal.note("done", capital.source, "memory:///out/A/IMG_1-scotopic.jpg", state=capital.state)
        journal.note(
            "started", other.source, "memory:///out/B/IMG_2_dng-scotopic.jpg", was_there=False, state="old"
        )
    expected = {
        "A/IMG_1.dng": "A/IMG_1_dng-scotopic.jpg",
        "A/img_1.DNG": "A/IMG_1-scotopic.jpg",
        # A replaced object is told as changed: its name stays, too.
        "B/IMG_2.dng": "B/IMG_2_dng-scotopic.jpg",
    }
    assert targets(Past.read(place)) == expected
    # The journal keeps a name for a photo that is not among these: whether it is there still is not asked.
    with journal_of(place) as journal:
        journal.note(
            "done", "memory:///elsewhere/IMG_2.dng", "memory:///out/B/IMG_2-scotopic.jpg", state="1"
        )
        journal.note("failed", other.source, "memory:///out/B/IMG_2_dng-scotopic.jpg")
    assert targets(Past.read(place)) == expected


def test_files_elsewhere_are_treated_and_nothing_of_them_stays_here(far, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    actor = actor_here()
    job = laid_out("memory://bucket/B/IMG_2.dng")[0]
    before = set(tmp_path.rglob("*"))
    answer = actor.treat(job)
    status, facts, words = answer.status, answer.facts, answer.error
    assert (status, words) == ("done", "")
    assert facts["ratio"] > 1
    with Image.open(io.BytesIO(far.cat("/out/IMG_2-scotopic.jpg"))) as image:
        assert image.size == (128, 96)
    assert set(tmp_path.rglob("*")) == before
    assert storage.exists(job.target)
    assert set(storage.existing("memory://out")) == {job.target}
    made = far.cat("/out/IMG_2-scotopic.jpg")
    again = actor.treat(job)
    assert (again.status, again.denied) == ("failed", "")
    assert "exists already" in again.error
    assert far.cat("/out/IMG_2-scotopic.jpg") == made


def test_copies_that_a_killed_actor_left_go_as_another_begins(far, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f"{storage.COPIES}left"
    left.mkdir()
    (left / "IMG_1.dng").touch()
    with storage.at_hand(laid_out("memory://bucket/B/IMG_2.dng")[0]) as (source, _):
        actor_here()
        assert not left.exists()
        assert source.exists()


def test_what_is_not_there_or_not_reached_is_said_in_words(far):
    with pytest.raises(ReadError, match="no such file"):
        laid_out("memory://nothing")
    far.pipe("/bucket/empty/notes.txt", b"")
    with pytest.raises(ReadError, match="no RAW files"):
        laid_out("memory://bucket/empty")
    with pytest.raises(SettingsError, match="no storage of a known kind"):
        laid_out("carrier-pigeon://bucket")
    job = laid_out("memory://bucket/B")[0]
    far.rm("/bucket/B/IMG_2.dng")
    answer = actor_here().treat(job)
    assert (answer.status, answer.denied) == ("failed", "read")
    assert "cannot be read" in answer.error


def test_sidecars_come_along_and_ask_for_nothing_more_than_the_listing(far):
    words = xmp.build(xmp.Words(rating=4, subjects=("night",)), enhanced=False)
    far.pipe("/bucket/A/IMG_1.dng.xmp", words)
    far.pipe("/bucket/B/IMG_2.Xmp", words)
    far.pipe("/bucket/B/IMG_20.xmp", words)
    of_folder = {job.source: job.sidecars for job in laid_out("memory://bucket")}
    assert of_folder == {
        "memory:///bucket/A/IMG_1.dng": ("memory:///bucket/A/IMG_1.dng.xmp",),
        "memory:///bucket/A/img_1.DNG": (),
        "memory:///bucket/B/IMG_2.dng": ("memory:///bucket/B/IMG_2.Xmp",),
    }
    (named,) = laid_out("memory://bucket/B/IMG_2.dng")
    assert named.sidecars == ("memory:///bucket/B/IMG_2.Xmp",)
    assert actor_here().treat(named).status == "done"
    with Image.open(io.BytesIO(far.cat("/out/IMG_2-scotopic.jpg"))) as image:
        assert b"night" in image.info["xmp"]


def test_what_only_one_process_sees_is_refused(far, tmp_path):
    storage.check_places([str(tmp_path), "file:///"])
    for places in (["memory://bucket", "/out"], ["/card", "memory://out"]):
        with pytest.raises(SettingsError, match="memory of one process"):
            storage.check_places(places)


class Buckets(MemoryFileSystem):
    """As far from a disk as S3 is, and with buckets."""

    protocol = ("s3",)
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    refusals: ClassVar[dict[str, Exception]] = {
        "closed": PermissionError("Access Denied"),
        "far": ConnectionError("no network"),
        "nameless": RuntimeError("Unable to locate credentials"),
        "empty": FileNotFoundError("empty/pictures"),
    }

    def info(self, path: str, **_: object) -> dict[str, object]:
        bucket = path.strip("/").partition("/")[0]
        if bucket in self.refusals:
            raise self.refusals[bucket]
        if not self.isdir(f"/{bucket}"):
            # As s3fs: what S3 said is the cause.
            raise FileNotFoundError("no such place") from OSError(
                "(NoSuchBucket) when calling ListObjectsV2"
            )
        return dict(super().info(path))

    def isdir(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self.store)

    def exists(self, path: str, **_: object) -> bool:
        assert path.strip("/").count("/"), "a bucket itself may be closed to those who may use a part of it"
        return path in self.store

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise AssertionError("an object store has no folders")

    def put_file(self, lpath: str, rpath: str, **_: object) -> None:
        self.pipe(rpath, Path(lpath).read_bytes())


def test_a_bucket_that_there_is_not_is_told_and_not_made(tmp_path, monkeypatch):
    buckets = Buckets()
    buckets.pipe("/shoot/raws/IMG_1.dng", b"")
    monkeypatch.setattr(storage, "_system", lambda words: (buckets, words.removeprefix("s3:/")))
    storage.check_places(["s3://shoot/raws", "s3://shoot/pictures/of/today"])
    with pytest.raises(SettingsError, match="there is no bucket shot;"):
        storage.check_places(["s3://shoot/raws", "s3://shot/pictures"])
    for other in buckets.refusals:  # which say nothing of the bucket: work will tell
        storage.check_places([f"s3://{other}/pictures"])
    made = tmp_path / "a.jpg"
    made.write_bytes(b"a picture")
    # Making folders would make a bucket that went meanwhile.
    storage.bring(made, "s3://shoot/pictures/of/today/a.jpg", overwrite=False)
    assert buckets.cat("/shoot/pictures/of/today/a.jpg") == b"a picture"


class NoCredentialsError(Exception):
    """As botocore's: no OSError."""


class Keyless(MemoryFileSystem):
    """A storage to which this machine has no key."""

    protocol = ("s3",)

    def _refuse(self, *_: object, **__: object) -> None:
        raise NoCredentialsError("Unable to locate credentials")

    isdir = info = find = open = exists = put_file = _refuse


KEYLESS = storage.RemoteJob("s3://shoot/IMG_1.dng", "s3://pictures/IMG_1.jpg")


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda _: laid_out(KEYLESS.source, output="s3://pictures"), ReadError),
        (lambda _: storage.existing("s3://pictures"), WriteError),
        (lambda _: storage.exists(KEYLESS.target), WriteError),
        (lambda _: storage.at_hand(KEYLESS).__enter__(), ReadError),
        (lambda made: storage.bring(made, KEYLESS.target, overwrite=True), WriteError),
    ],
    ids=["laid out", "looked through", "looked for", "fetched", "brought"],
)
def test_errors_of_a_storages_own_kind_are_told_as_ours(tmp_path, monkeypatch, ask, kind):
    monkeypatch.setattr(storage, "_system", lambda words: (Keyless(), words.removeprefix("s3:/")))
    made = tmp_path / "a.jpg"
    made.write_bytes(b"a picture")
    with pytest.raises(kind, match=r"^s3://.*NoCredentialsError: Unable to locate credentials"):
        ask(made)


def test_a_machine_without_keys_and_a_fault_of_ours_cost_a_file_and_not_its_actor(tmp_path, monkeypatch):
    actor = Actor(Settings(), None, 1, Terms())
    with monkeypatch.context() as patched:
        patched.setattr(storage, "_system", lambda words: (Keyless(), words.removeprefix("s3:/")))
        answer = actor.treat(KEYLESS)
    assert (answer.status, answer.denied) == ("failed", "read")
    assert answer.error.startswith("s3://shoot/IMG_1.dng: cannot be read (NoCredentialsError")
    monkeypatch.setattr(storage, "at_hand", lambda _: 1 / 0)
    answer = actor.treat(KEYLESS)
    assert (answer.status, answer.denied) == ("failed", "")
    assert answer.error.startswith("IMG_1.dng: a fault in scotopic (ZeroDivisionError")


def journal_of(place: Path, *, resume: bool = True) -> Journal:
    return Journal(place, settings_in_words(Settings(), None), resume=resume)


def ended_of(jobs: list[storage.RemoteJob], place: Path, output: str) -> list[RemoteOutcome]:
    """What becomes of files whose results are there: no cluster is needed to tell."""
    with journal_of(place) as journal:
        return list(treat_remote(jobs, output, Settings(), None, journal))


def resumed(jobs: list[storage.RemoteJob], place: Path, output: str) -> list[tuple[str, str]]:
    return [(outcome.status, outcome.error) for outcome in ended_of(jobs, place, output)]


def handed_over(
    jobs: list[storage.RemoteJob], place: Path, output: str, monkeypatch, settings: Settings | None = None
) -> list[storage.RemoteJob]:
    """What a cluster would be given."""
    given: list[storage.RemoteJob] = []

    class Given:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def run(self, jobs: list[storage.RemoteJob]) -> Iterator[RemoteOutcome]:
            given.extend(jobs)
            yield from ()

        def __enter__(self) -> Given:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("scotopic.jobs.cluster.Cluster", Given)
    with journal_of(place) as journal:
        assert list(treat_remote(jobs, output, settings or Settings(), None, journal)) == []
    return given


@pytest.mark.parametrize("begun_only", [False, True])
@pytest.mark.parametrize("choices", [{}, {"skip_existing": True}, {"overwrite": True}])
def test_a_result_that_a_power_cut_left_empty_is_made_anew_by_a_cluster_too(
    tmp_path, monkeypatch, choices, begun_only
):
    card, out = tmp_path / "card", tmp_path / "out"
    card.mkdir()
    out.mkdir()
    for name in ("a", "b"):
        (card / f"{name}.arw").write_bytes(b"a photo")
        (out / f"{name}-scotopic.jpg").write_bytes(b"")
    jobs = laid_out(str(card), output=str(out))
    with journal_of(out / NAME) as journal:
        # Of the other nothing is known: whoever made it, it is kept.
        item = storage.item_of(jobs[0])
        if begun_only:
            journal.note("started", item.file, item.output, **item.state(), was_there=False, process=1)
        else:
            journal.note("done", item.file, item.output, **item.state())
    if not choices:
        (outcome,) = ended_of(jobs[1:], out / NAME, str(out))
        assert outcome.fault == "FileExistsRefusal"
    given = handed_over(
        jobs[: 2 if "overwrite" in choices else 1], out / NAME, str(out), monkeypatch, Settings(**choices)
    )
    assert given[0] == replace(jobs[0], anew=True)
    assert given[1:] == (jobs[1:] if "overwrite" in choices else [])


def test_what_is_left_of_a_result_is_replaced_as_long_as_it_is_empty(far, tmp_path):
    """On a disk and elsewhere; what another has written there meanwhile is kept."""
    source = tmp_path / "card" / "IMG_2.dng"
    source.parent.mkdir()
    source.write_bytes(far.cat("/bucket/B/IMG_2.dng"))
    actor = actor_here()
    for place in ("memory://out", str(tmp_path / "out")):
        (job,) = laid_out(str(source), output=place)
        path = storage.local_path(job.target)
        target = path if path is not None else "/out/IMG_2-scotopic.jpg"
        pipe = far.pipe if path is None else lambda path, content: path.write_bytes(content)
        cat = far.cat if path is None else Path.read_bytes
        if path is not None:
            path.parent.mkdir()
        pipe(target, b"")
        assert not storage.is_made(job.target)
        assert actor.treat(job).fault == "FileExistsRefusal"
        assert actor.treat(replace(job, anew=True)).error == ""
        assert len(cat(target)) > 0
        pipe(target, b"another's")
        assert storage.is_made(job.target)
        assert actor.treat(replace(job, anew=True)).fault == "FileExistsRefusal"
        assert cat(target) == b"another's"


def test_a_replaced_object_is_told_as_changed_when_a_run_goes_on(far, tmp_path, monkeypatch):
    place, target = tmp_path / "j.jsonl", "memory:///out/IMG_2-scotopic.jpg"
    (job,) = laid_out("memory://bucket/B/IMG_2.dng")
    far.pipe("/out/IMG_2-scotopic.jpg", b"a result")
    with journal_of(place) as journal:
        journal.note("done", job.source, target, state=job.state)
    assert resumed([job], place, "memory://out") == [("skipped", "")]
    (status, words), *_ = resumed([replace(job, state="another")], place, "memory://out")
    assert status == "failed"
    assert "has changed since" in words
    far.pipe("/out/IMG_2-scotopic.jpg", b"")
    (anew,) = handed_over([job], place, "memory://out", monkeypatch)
    assert anew == replace(job, anew=True)


def test_runs_of_one_machine_and_of_a_cluster_go_on_with_each_others_work(tmp_path):
    card, out = tmp_path / "card", tmp_path / "out"
    card.mkdir()
    out.mkdir()
    (card / "a.arw").write_bytes(b"a photo")
    (out / "a-scotopic.jpg").write_bytes(b"a result")
    local = Job(card / "a.arw", out / "a-scotopic.jpg")
    far = laid_out(str(card), output=str(out))
    place = out / NAME
    with journal_of(place) as journal:
        session = Session(journal, Settings())
        session._begin(local, 1)
        session._noted(Outcome(local, "done", 1.0))
    assert resumed(far, place, str(out)) == [("skipped", "")]
    place.unlink()
    with journal_of(place) as journal:
        item = storage.item_of(far[0])
        journal.note("done", item.file, item.output, **item.state())
    with journal_of(place) as journal:
        assert Item.of(local).is_done(journal)
    other = [replace(far[0], source=storage.address(str(tmp_path / "other" / "a.arw")))]
    assert "exists already" in resumed(other, place, str(out))[0][1]
    (card / "a.arw").write_bytes(b"an edited photo")
    (tmp_path / "link").symlink_to(card)
    linked = [replace(far[0], source=storage.address(str(tmp_path / "link" / "a.arw")))]
    assert "has changed since" in resumed(linked, place, str(out))[0][1]
    assert "has changed since" in resumed(far, place, str(out))[0][1]


def test_paths_and_addresses_of_this_machine_are_the_same(tmp_path):
    path = tmp_path / "a b" / "ü.dng"
    path.parent.mkdir()
    path.write_bytes(b"")
    (job,) = laid_out(str(path), output=str(tmp_path))
    assert storage.local_path(job.source) == path
    assert storage.local_path(job.target) == tmp_path / "ü-scotopic.jpg"
    (tmp_path / "ü-scotopic.jpg").write_bytes(b"")
    assert job.target in storage.existing(storage.address(str(tmp_path)))
    assert storage.local_path("memory://x/y") is None
    assert Path("x").absolute() == storage.local_path("x")


def test_a_job_on_this_machines_disks_needs_no_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    job = storage.RemoteJob(
        storage.address(str(tmp_path / "a.dng")), storage.address(str(tmp_path / "a.jpg"))
    )
    with storage.at_hand(job) as places:
        assert places == (tmp_path / "a.dng", tmp_path / "a.jpg")
