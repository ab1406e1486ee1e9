"""Files elsewhere: in fsspec's own memory file system, which is as far from a disk as S3 is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (pip install 'scotopic[ray]')")

from scotopic.batch import Settings  # noqa: E402
from scotopic.dng.write import write_mosaic  # noqa: E402
from scotopic.errors import ReadError, SettingsError  # noqa: E402
from scotopic.jobs import storage  # noqa: E402
from scotopic.jobs.cluster import Actor  # noqa: E402
from scotopic.jobs.worker import ModelChoice  # noqa: E402
from scotopic.sensor import expose, sony_a7s2  # noqa: E402


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


def laid_out(*sources: str, output: str = "memory://out") -> list[storage.RemoteJob]:
    return storage.lay_out(list(sources), output, "jpg", "scotopic", enhanced=False)


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


def test_files_elsewhere_are_treated_and_nothing_of_them_stays_here(far, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    actor = Actor(Settings(), ModelChoice(device="cpu"), 1)
    job = laid_out("memory://bucket/B/IMG_2.dng")[0]
    before = set(tmp_path.rglob("*"))
    status, _, facts, words = actor.treat(job)
    assert (status, words) == ("done", "")
    assert facts["ratio"] > 1
    with Image.open(io.BytesIO(far.cat("/out/IMG_2-scotopic.jpg"))) as image:
        assert image.size == (128, 96)
    assert set(tmp_path.rglob("*")) == before
    assert storage.exists(job.target)
    assert storage.existing("memory://out") == {job.target}
    made = far.cat("/out/IMG_2-scotopic.jpg")
    status, _, _, words = actor.treat(job)
    assert status == "failed"
    assert "exists already" in words
    assert far.cat("/out/IMG_2-scotopic.jpg") == made


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
    status, _, _, words = Actor(Settings(), ModelChoice(device="cpu"), 1).treat(job)
    assert status == "failed"
    assert "cannot be read" in words


def test_paths_and_addresses_of_this_machine_are_the_same(tmp_path):
    path = tmp_path / "a b" / "ü.dng"
    path.parent.mkdir()
    path.write_bytes(b"")
    (job,) = storage.lay_out([str(path)], str(tmp_path), "jpg", "scotopic", enhanced=False)
    assert storage.local_path(job.source) == path
    assert storage.local_path(job.target) == tmp_path / "ü-scotopic.jpg"
    (tmp_path / "ü-scotopic.jpg").write_bytes(b"")
    assert job.target in storage.existing(storage.address(str(tmp_path)))
    assert storage.local_path("memory://x/y") is None
    assert Path("x").absolute() == storage.local_path("x")
