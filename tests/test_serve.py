"""`scotopic serve` as a real process on a free port: what it serves, whom it refuses, and that nothing is left."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote, urlencode, urljoin

import imagecodecs
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the web extra is not installed")

import dng_files
from conftest import ROOT
from scotopic.calibration.apply import profiles_folder
from scotopic.calibration.calibrate import calibrate
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError
from scotopic.formats.table import FACTS, Kind
from scotopic.inference.devices import check_device
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.web.refusal import STATUS_OF
from scotopic.web.site import NEEDED, STATIC
from scotopic.web.work import FAULTS, code_of

RAW = {"Content-Type": "application/octet-stream"}
PATIENCE_S = 60
"""How long anything is waited for before a test fails; nothing is timed."""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["error"]["code"]


class Server:
    """A server process; its temporary files lie in a folder of its own."""

    def __init__(self, temporary: Path, *options: str, before: Callable[[], None] | None = None) -> None:
        self.temporary = temporary
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scotopic", "serve", "--port", "0", *options],
            env={**os.environ, "TMPDIR": str(temporary)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://(\S+):(\d+)/", line)
        assert found, line + self.process.communicate()[1]
        self.host, self.port = found[1], int(found[2])

    def ask(
        self, path: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def send(self, raw: bytes, name: str = "IMG_1.dng", **choices: Any) -> Answer:
        return self.ask(f"/api/enhance?{urlencode({'name': name, **choices})}", "POST", raw, RAW)

    def events(self, id: str) -> Iterator[dict[str, Any]]:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/jobs/{id}/events")
            answer = connection.getresponse()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def finished(self, id: str) -> dict[str, Any]:
        return list(self.events(id))[-1]

    @property
    def pictures(self) -> list[Path]:
        """Files of pictures that the server holds."""
        return [p for p in self.temporary.rglob("pictures/*/*") if p.is_file()]

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not listed.exists():
            pytest.skip("this system does not list a process's children")
        return [int(number) for number in listed.read_text().split()]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        words = "".join(self.process.communicate(timeout=PATIENCE_S))
        return self.process.returncode, words


def lives(process: int) -> bool:
    """Whether it runs; one that ended and that nobody asked after does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    missing = [name for name in NEEDED if not (STATIC / name).is_file()]
    if missing:
        pytest.skip(f"the page is not built ({', '.join(missing)}): run make web")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"), "--upload-max", "16")
    yield running
    status, words = running.stop()
    assert status == 0, words
    assert list(running.temporary.iterdir()) == []


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Any]:
    """Starts servers that a test may stop, kill and mistreat."""
    started: list[Server] = []

    def start(*options: str, **others: Any) -> Server:
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(Server(folder, *options, **others))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


@pytest.fixture(scope="module")
def raw(photo, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("raw") / "a.dng"
    write_mosaic(path, expose(photo, sony_a7s2(3200), 100, np.random.default_rng(3)))
    return path.read_bytes()


@pytest.fixture(scope="module")
def large(photo, tmp_path_factory) -> bytes:
    """A picture that takes a while."""
    path = tmp_path_factory.mktemp("raw") / "large.dng"
    scene = np.tile(photo, (8, 7, 1))
    write_mosaic(path, expose(scene, sony_a7s2(3200), 100, np.random.default_rng(3)))
    return path.read_bytes()


def test_every_kind_of_file_has_its_type_and_the_headers_that_threads_need(server):
    kinds = {
        "/": "text/html",
        "/worker.js": "text/javascript",
        "/vendor/ort.wasm.min.mjs": "text/javascript",
        "/libraw.wasm": "application/wasm",
        "/manifest.webmanifest": "application/manifest+json",
        "/constants.json": "application/json",
        "/models/bayer-fast/weights.bin": "application/octet-stream",
        "/style.css": "text/css",
    }
    for path, kind in kinds.items():
        answer = server.ask(path)
        assert answer.status == 200, path
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "unsafe-inline" not in policy
        assert "'unsafe-eval'" not in policy
    for path in ("/api/status", "/api/jobs/none", "/none"):
        assert server.ask(path).headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/libraw.wasm", "/models/bayer-fast/weights.bin", "/worker.js"])
def test_files_are_compressed_and_kept_by_their_hash(server, path):
    plain = server.ask(path)
    assert "Content-Encoding" not in plain.headers
    squeezed = server.ask(path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert squeezed.headers["Content-Encoding"] == "br"
    assert bytes(imagecodecs.brotli_decode(squeezed.body)) == plain.body
    assert len(squeezed.body) < len(plain.body)
    assert (
        server.ask(path, headers={"Accept-Encoding": "br;q=0, gzip"}).headers["Content-Encoding"] == "gzip"
    )
    for answer in (plain, squeezed):
        again = server.ask(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status == 304
        assert again.body == b""
    assert plain.headers["ETag"] != squeezed.headers["ETag"]
    assert server.ask(path, "HEAD").headers["Content-Length"] == str(len(plain.body))


def test_ranges_are_those_of_the_file_itself(server):
    path = "/libraw.wasm"
    whole = server.ask(path).body
    for asked, part in {
        "bytes=10-19": whole[10:20],
        "bytes=-5": whole[-5:],
        "bytes=100-": whole[100:],
    }.items():
        answer = server.ask(path, headers={"Range": asked, "Accept-Encoding": "br"})
        assert answer.status == 206
        assert answer.body == part
        assert "Content-Encoding" not in answer.headers
    assert server.ask(path, headers={"Range": f"bytes={len(whole)}-"}).status == 416
    assert server.ask(path, headers={"Range": "bytes=5-2"}).body == whole


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "//etc/passwd",
        "/static/index.html",
        "/vendor/",
        "/.scotopic-site.json",
        "/%00",
        "/api/../index.html",
    ],
)
def test_only_the_pages_own_files_are_served(server, path):
    answer = server.ask(path)
    assert answer.status == 404
    assert b"import" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:8000"},
        {"Host": "user@localhost"},
        {"Host": "192.168.1.5"},
    ],
    ids=str,
)
def test_pages_of_other_sites_may_neither_ask_nor_send(server, raw, headers):
    before = server.pictures
    for path, method in (("/api/status", "GET"), ("/api/enhance?name=a.dng", "POST")):
        answer = server.ask(path, method, raw if method == "POST" else None, {**RAW, **headers})
        assert answer.status == 403
        assert answer.code == "foreign"
        assert "Access-Control-Allow-Origin" not in answer.headers
    if "Host" in headers:
        assert server.ask("/", headers=headers).status == 403
    assert server.pictures == before


def test_a_request_without_a_host_is_told_so(server):
    with socket.create_connection(("localhost", server.port), PATIENCE_S) as connection:
        connection.sendall(b"GET /api/status HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"needs one Host" in answer


def test_the_page_itself_may_whatever_this_machine_is_called(server):
    for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
        name = f"{host}:{server.port}"
        headers = {"Host": name, "Origin": f"http://{name.lower()}", "Sec-Fetch-Site": "same-origin"}
        assert server.ask("/api/status", headers=headers).status == 200


def test_a_picture_is_sent_followed_fetched_and_forgotten(server, raw, tmp_path):
    sent = server.send(raw)
    assert sent.status == 202
    id = sent.json["id"]
    assert (
        urljoin("http://a/dark/api/enhance?name=a", sent.headers["Location"])
        == f"http://a/dark/api/jobs/{id}"
    )
    told = list(server.events(id))
    shares = [job["share"] for job in told if job["state"] == "running"]
    assert shares == sorted(shares)
    assert {"running", "done"} <= {job["state"] for job in told} <= {"waiting", "running", "done"}
    done = told[-1]
    assert done["state"] == "done"
    assert done["facts"]["iso"] == 3200
    assert done["facts"]["width"] == 320
    result = server.ask(f"/{done['result']['url']}")
    assert len(result.body) == done["result"]["bytes"]
    assert result.headers["Content-Disposition"] == 'attachment; filename="IMG_1-scotopic.jpg"'
    (tmp_path / "IMG_1.dng").write_bytes(raw)
    command = [sys.executable, "-m", "scotopic", "enhance", str(tmp_path / "IMG_1.dng")]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    with (
        Image.open(tmp_path / "IMG_1-scotopic.jpg") as expected,
        Image.open(io.BytesIO(result.body)) as got,
    ):
        assert np.array_equal(np.asarray(got), np.asarray(expected))
        assert got.getexif()[0x0110] == expected.getexif()[0x0110]
    part = server.ask(f"/{done['result']['url']}", headers={"Range": "bytes=2-9"})
    assert part.status == 206
    assert part.body == result.body[2:10]
    for senseless in ("bytes=abc", "bytes=5-2", "lines=1", "bytes=-", "5", f"bytes={5000 * '9'}-"):
        whole = server.ask(f"/{done['result']['url']}", headers={"Range": senseless})
        assert whole.status == 200
        assert whole.body == result.body
    size = len(result.body)
    some = server.ask(f"/{done['result']['url']}", headers={"Range": f"bytes=0-9,{size}-"})
    assert (some.status, some.body) == (206, result.body[:10])
    for beyond in (f"bytes={size}-", "bytes=-0"):
        none = server.ask(f"/{done['result']['url']}", headers={"Range": beyond})
        assert none.status == 416
        assert none.headers["Content-Range"] == f"bytes */{size}"
        assert none.code == "range"
    tag = result.headers["ETag"]
    for more in ({}, {"Range": "bytes=2-9"}):
        held = server.ask(f"/{done['result']['url']}", headers={"If-None-Match": tag, **more})
        assert (held.status, held.body, held.headers["ETag"]) == (304, b"", tag)
    other = server.ask(f"/{done['result']['url']}", headers={"If-None-Match": '"another"'})
    assert (other.status, other.body) == (200, result.body)
    for path in ("/api/status", f"/api/jobs/{id}", f"/{done['result']['url']}"):
        head, got = server.ask(path, "HEAD"), server.ask(path)
        assert head.status == 200
        assert head.body == b""
        assert head.headers["Content-Length"] == str(len(got.body))
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert server.ask(f"/api/jobs/{id}", "DELETE").status == 204
    assert server.ask(f"/api/jobs/{id}").status == 404
    assert not [p for p in server.pictures if id in p.parts]


def test_two_pictures_wait_for_each_other_and_other_settings_need_no_second_upload(server, raw):
    first, second = (server.send(raw, name) for name in ("a.dng", "Nacht über Köln.dng"))
    pictures = {}
    for sent in (first, second):
        done = server.finished(sent.json["id"])
        assert done["state"] == "done"
        pictures[sent.json["id"]] = server.ask(f"/{done['result']['url']}")
    bodies = [p.body for p in pictures.values()]
    assert bodies[0] == bodies[1]
    plain = server.ask(f"/api/jobs/{first.json['id']}/again?strength=0&format=png", "POST")
    assert plain.status == 202
    place = urljoin(f"http://a/dark/api/jobs/{first.json['id']}/again?x=1", plain.headers["Location"])
    assert place == f"http://a/dark/api/jobs/{plain.json['id']}"
    done = server.finished(plain.json["id"])
    assert done["state"] == "done", done["error"]
    assert done["result"]["type"] == "image/png"
    with (
        Image.open(io.BytesIO(server.ask(f"/{done['result']['url']}").body)) as noisy,
        Image.open(io.BytesIO(bodies[0])) as clean,
    ):
        assert noisy.size == clean.size
        assert np.std(np.diff(np.asarray(noisy, float))) > 1.5 * np.std(np.diff(np.asarray(clean, float)))
    for sent in (first, second, plain):
        server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")
    assert server.pictures == []


@pytest.mark.parametrize("kind", get_args(Kind))
def test_which_formats_hold_linear_light_is_as_described(server, raw, kind):
    parameters = server.ask("/api/openapi.json").json["paths"]["/api/enhance"]["post"]["parameters"]
    for name, value in (("look", "linear"), ("colour_space", "rec2020-linear")):
        (described,) = [p["description"] for p in parameters if p["name"] == name]
        assert described.startswith(f"{value}: ")
        sent = server.send(raw, format=kind, **{name: value})
        assert (sent.status == 202) == (kind in described.removeprefix(f"{value}: "))
        if sent.status == 202:
            server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")


@pytest.mark.parametrize("kind", ["dng", "jxl"])
def test_other_formats_come_with_their_types(server, raw, kind):
    assert set(server.ask("/api/status").json["formats"]) == set(FACTS) == set(get_args(Kind))
    sent = server.send(raw, format=kind)
    done = server.finished(sent.json["id"])
    assert done["state"] == "done", done["error"]
    result = server.ask(f"/{done['result']['url']}")
    assert result.headers["Content-Type"] == FACTS[kind].media_type
    assert done["result"]["name"] == f"IMG_1-scotopic.{kind}"
    server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")


def test_a_jpeg_has_the_quality_that_is_asked_for(server, raw):
    tables = []
    for choices in ({}, {"quality": "95"}, {"quality": "60"}):
        sent = server.send(raw, **choices)
        done = server.finished(sent.json["id"])
        assert done["state"] == "done", done["error"]
        with Image.open(io.BytesIO(server.ask(f"/{done['result']['url']}").body)) as picture:
            tables.append(sum(picture.quantization[0]))
        server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")
    assert tables[0] == tables[1] < tables[2]


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("holiday.arw", b"\xff\xd8\xff\xe0" + bytes(2000), "jpeg", "JPEG"),
        ("Über.dng", b"Lorem ipsum dolor sit amet\n" * 99, "not-raw", "Über.dng"),
    ],
)
def test_what_is_no_raw_file_fails_in_words_under_its_own_name(server, raw, name, content, code, words):
    sent = server.send(raw[: len(raw) // 2] if content is None else content, name)
    failed = server.finished(sent.json["id"])
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == code
    assert words in failed["error"]["words"]
    assert str(server.temporary) not in failed["error"]["words"]
    assert failed["result"] is None
    assert server.ask(f"/api/jobs/{sent.json['id']}/result").status == 409
    server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")


def test_an_installed_camera_profile_is_used_as_by_the_command_line(own, photo, tmp_path, monkeypatch):
    sensor = replace(sony_a7s2(3200), make="Simulated", model="One", black_error_dn=(3.0,) * 4)
    frames = [tmp_path / f"{i}.dng" for i in range(3)]
    for i, path in enumerate(frames):
        rng = np.random.default_rng(i)
        write_mosaic(path, expose(np.zeros((256, 256, 3), np.float32), sensor, 1, rng, exposure_s=0.1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    folder = profiles_folder()
    running = own()
    write_mosaic(tmp_path / "night.dng", expose(photo, sensor, 100, np.random.default_rng(9)))
    content = (tmp_path / "night.dng").read_bytes()
    # One comes while the server runs.
    for installed in (False, True):
        if installed:
            folder.mkdir(parents=True)
            calibrate(frames).profile.save(folder / "one.json")
        told = running.finished(running.send(content, ratio=100).json["id"])
        assert told["state"] == "done", told
        assert told["facts"]["profile"] == ("Simulated One" if installed else None)


def test_what_scotopic_has_enhanced_already_fails_under_a_code_of_its_own(server, raw):
    sent = server.send(raw, "a.dng", format="dng")
    done = server.finished(sent.json["id"])
    again = server.send(server.ask(f"/{done['result']['url']}").body, "b.dng")
    failed = server.finished(again.json["id"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "enhanced")
    for job in (sent, again):
        server.ask(f"/api/jobs/{job.json['id']}", "DELETE")


def test_a_thumbnail_fails_as_too_small(server, tmp_path):
    path = dng_files.write(tmp_path / "a.dng", np.zeros((12, 16), np.uint16))
    id = server.send(path.read_bytes(), "a.dng").json["id"]
    assert server.finished(id)["error"]["code"] == "too-small"
    server.ask(f"/api/jobs/{id}", "DELETE")


@pytest.mark.parametrize(
    "choices",
    [
        {"name": "../a.dng"},
        {"name": "a/b.dng"},
        {"name": "a\\b.dng"},
        {"name": "a\0b"},
        {"name": "a\nb"},
        {"name": "a\x85b.dng"},
        {"name": "a\u202egpj.exe"},
        {"name": "a\u2066b.dng"},
        {"name": "x" * 201},
        {"name": ""},
        {"format": "bmp"},
        {"format": "../x"},
        {"ratio": "0"},
        {"ratio": "nan"},
        {"ratio": "1e400"},
        {"ratio": "100", "ev": "2"},
        {"strength": "1.5"},
        {"wb": "sunny"},
        {"wb": "1,2"},
        {"look": "linear"},
        {"format": "dng", "colour_space": "p3"},
        {"tier": "worst"},
        {"quality": "0"},
        {"quality": "101"},
        {"format": "png", "quality": "90"},
        {"bits": "16"},
        {"format": "png", "bits": "10"},
        {"format": "avif", "bits": "11.5"},
        {"dng_compression": "jxl"},
        {"format": "dng", "dng_compression": "zip"},
        {"format": "png", "dng_white": "sensor"},
        {"format": "dng", "dng_white": "mean"},
        {"output": "/etc/passwd"},
    ],
    ids=str,
)
def test_settings_that_will_not_do_are_refused_before_the_picture_is_sent(server, raw, choices):
    before = server.pictures
    answer = server.send(raw, **choices)
    assert answer.status == 422
    assert answer.json["error"]["words"]
    assert server.pictures == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("name=a.dng&output=b", "output: there is no such setting here; known are format, ratio, "),
        ("ratio=3", "name: is missing; give name=... in the address: The file's name without folders"),
        ("name=a/b", "name: 'a/b' will not do, no folders, "),
        ("name=", "name: is empty"),
        ("name=a.dng&ratio=0", "ratio: a number of at least 0.25 is needed, not 0"),
        ("name=a.dng&passes=two", "passes: a whole number is needed, not 'two'"),
        ("name=a.dng&format=bmp", "format: 'bmp' is not one of 'jpg', "),
        ("name=a.dng&dng_white=sensor", "dng_white is for DNGs: leave it out or choose format dng"),
        ("name=a.dng&format=TIF&quality=5", "a quality is for JPEGs"),
    ],
)
def test_why_a_setting_will_not_do_is_said_in_our_words_and_the_apis_names(server, raw, settings, words):
    answer = server.ask(f"/api/enhance?{settings}", "POST", raw, RAW)
    assert answer.status == 422
    assert answer.json["error"]["words"].startswith(words)


def test_a_setting_that_comes_twice_is_refused_by_its_name(server, raw):
    before = server.pictures
    answer = server.ask("/api/enhance?name=a.dng&ratio=3&ratio=4", "POST", raw, RAW)
    assert answer.status == 422
    assert answer.json["error"]["words"].startswith("ratio: given more than once")
    assert server.pictures == before
    sent = server.send(raw)
    server.finished(sent.json["id"])
    for twice in ("ratio=3&ratio=4", "ratio=3&ratio=3", "format=png&strength=0&strength=1"):
        answer = server.ask(f"/api/jobs/{sent.json['id']}/again?{twice}", "POST")
        assert answer.status == 422, twice
    server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")


def test_names_in_every_script_are_taken(server, raw):
    for name in ("Köln.dng", "夜景.dng", "ليلة.dng", "לילה.dng", "e\u0301.dng", "👨‍👩‍👧.dng"):
        sent = server.send(raw, name)
        assert sent.status == 202, name
        assert sent.json["name"] == name
        server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")


NAMES_KEPT = {
    "IMG 1.dng": "IMG 1",
    "a [2] (b).dng": "a [2] (b)",
    'say "hi"; x=1.dng': "say _hi_; x=1",
    "it's 5%20.dng": "it's 5_20",
    "Nacht über Köln.dng": "Nacht uber Koln",
    "夜景.dng": "__",
}


def test_a_result_is_kept_under_its_name_by_those_who_know_only_plain_ones(server, raw, tmp_path):
    curl = shutil.which("curl")
    for name, plain in NAMES_KEPT.items():
        sent = server.send(raw, name, strength=0)
        done = server.finished(sent.json["id"])
        place = f"/{done['result']['url']}"
        words = server.ask(place, "HEAD").headers["Content-Disposition"]
        assert words.split("; filename*")[0] == f'attachment; filename="{plain}-scotopic.jpg"'
        is_same = name.startswith(plain)
        assert is_same or words.endswith(f"; filename*=UTF-8''{quote(done['result']['name'], safe='')}")
        if curl is not None:
            command = [curl, "-sSOJ", f"http://localhost:{server.port}{place}"]
            subprocess.run(command, cwd=tmp_path, check=True, timeout=PATIENCE_S)
        server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")
    if curl is None:
        pytest.skip("curl is not installed: its own saving was not tried")
    assert {p.name for p in tmp_path.iterdir()} == {
        f"{plain}-scotopic.jpg" for plain in NAMES_KEPT.values()
    }


def test_names_that_lead_elsewhere_lead_nowhere(server, raw):
    for name in ("..", "~root.dng"):
        sent = server.send(raw, name)
        assert sent.status == 202
        assert server.finished(sent.json["id"])["state"] == "done"
        assert server.ask(f"/api/jobs/{sent.json['id']}", "DELETE").status == 204
    outside = [p for p in server.temporary.rglob("*") if p.is_file() and "page" not in p.parts]
    assert outside == []


@pytest.mark.parametrize("kind", ["jpg", "dng"])
def test_a_picture_may_be_called_as_its_result_might_be(server, raw, kind):
    sent = server.send(raw, f"result.{kind}", format=kind)
    done = server.finished(sent.json["id"])
    assert done["state"] == "done", done["error"]
    assert done["result"]["name"] == f"result-scotopic.{kind}"
    assert server.ask(f"/{done['result']['url']}").body != raw
    server.ask(f"/api/jobs/{sent.json['id']}", "DELETE")


def test_bodies_that_will_not_do_are_refused_and_nothing_is_kept(server):
    before = server.pictures
    path = "/api/enhance?name=a.dng"
    assert server.ask(path, "POST", b"", RAW).status == 400
    assert server.ask(path, "POST", b"x").status == 415
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert server.ask(path, "POST", b"--x--", form).status == 415
    assert server.ask(path, "POST", b"x", {**RAW, "Content-Encoding": "gzip"}).status == 415
    # Told beforehand: refused before a byte of it was sent.
    with socket.create_connection(("localhost", server.port), PATIENCE_S) as connection:
        lines = (f"POST {path} HTTP/1.1", f"Host: localhost:{server.port}", "Content-Length: 99999999999")
        connection.sendall("\r\n".join((*lines, f"Content-Type: {RAW['Content-Type']}", "", "")).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    # Not told: cut off where the limit is reached.
    pieces = (bytes(1 << 20) for _ in range(40))
    with contextlib.suppress(ConnectionError):
        answer = server.ask(path, "POST", pieces, {**RAW, "Transfer-Encoding": "chunked"})
        assert answer.status == 413
        assert answer.code == "too-large"
    wait_until(lambda: server.pictures == before)
    assert server.ask("/api/status").json["waiting"] == 0


def test_an_upload_that_breaks_off_leaves_nothing_and_frees_its_place(server):
    before = server.pictures
    connection = socket.create_connection(("localhost", server.port), PATIENCE_S)
    lines = ("POST /api/enhance?name=a.dng HTTP/1.1", "Host: localhost", "Content-Length: 1000000")
    connection.sendall("\r\n".join((*lines, f"Content-Type: {RAW['Content-Type']}", "", "")).encode())
    connection.sendall(bytes(200_000))
    wait_until(lambda: len(server.pictures) > len(before))
    assert server.ask("/api/status").json["waiting"] == 1
    connection.close()
    wait_until(lambda: server.pictures == before)
    wait_until(lambda: server.ask("/api/status").json["waiting"] == 0)


def test_the_line_is_bounded_and_what_runs_or_waits_can_be_cancelled(server, raw, large):
    running = server.send(large).json["id"]
    waiting = [server.send(raw) for _ in range(9)]
    assert waiting[-1].status == 429
    assert waiting[-1].headers["Retry-After"]
    ids = [answer.json["id"] for answer in waiting if answer.status == 202]
    assert len(ids) == 8
    last = server.ask(f"/api/jobs/{ids[-1]}").json
    assert last["state"] == "waiting"
    assert last["position"] >= 7
    follower = server.events(running)
    assert next(follower)["state"] in ("waiting", "running")
    assert server.ask(f"/api/jobs/{running}", "DELETE").status == 204
    assert list(follower)[-1]["state"] == "cancelled"
    for id in ids[1:]:
        assert server.ask(f"/api/jobs/{id}", "DELETE").status == 204
    assert server.finished(ids[0])["state"] == "done"
    server.ask(f"/api/jobs/{ids[0]}", "DELETE")
    wait_until(lambda: server.pictures == [])


def test_a_killed_worker_costs_its_picture_and_nothing_else(server, raw, large):
    id = server.send(large, "large.dng").json["id"]
    told = server.events(id)
    while next(told)["state"] != "running":
        pass
    for child in server.children():
        os.kill(child, signal.SIGKILL)
    failed = list(told)[-1]
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == "memory"
    assert "large.dng" in failed["error"]["words"]
    sent = server.send(raw)
    assert server.finished(sent.json["id"])["state"] == "done"
    for over in (id, sent.json["id"]):
        server.ask(f"/api/jobs/{over}", "DELETE")


@pytest.mark.skipif(os.name != "posix", reason="this system has no such limit")
def test_more_connections_than_a_server_has_descriptors_do_it_no_harm(own, raw):
    import resource

    server = own(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    opened = [socket.create_connection(("localhost", server.port), PATIENCE_S) for _ in range(100)]
    for _ in range(3):
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert server.ask("/api/status").code == "busy"
    for connection in opened:
        connection.close()

    def serves() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.ask("/api/status").status == 200
        return False

    wait_until(serves)
    assert server.finished(server.send(raw).json["id"])["state"] == "done"
    status, words = server.stop()
    assert status == 0
    assert "Traceback" not in words


@pytest.mark.parametrize("options", [(), ("--quiet",)], ids=["told", "quiet"])
def test_a_line_tells_of_each_picture_and_not_what_it_is_called(own, raw, options):
    server = own(*options)
    for content in (raw, b"no picture"):
        server.finished(server.send(content, "Our wedding.dng").json["id"])
    status, words = server.stop()
    assert status == 0
    assert "wedding" not in words
    lines = re.findall(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:127\.0\.0\.1|::1) \.dng (.*), \d+\.\d s$", words, re.M
    )
    expected = [f"{len(raw) / 1e6:.1f} MB: done (jpg)", "0.0 MB: failed (not-raw)"]
    assert lines == ([] if options else expected)


@pytest.mark.slow
def test_a_small_disk_is_never_full_of_what_is_finished(own, raw, large, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        server = own("--temp", str(disk))
        sent = server.send(large, "large.dng", format="tiff")
        failed = server.finished(sent.json["id"])
        assert failed["error"]["code"] == "disk"
        assert failed["error"]["words"].startswith("large-scotopic.tiff: could not be written")
        with disk.joinpath("full").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(1 << 12)):
                pass
        # The page comes as it is where there is no room for a smaller form of it.
        page = server.ask("/worker.js", headers={"Accept-Encoding": "br"})
        assert page.status == 200
        assert page.body == server.ask("/worker.js").body
        assert "Content-Encoding" not in page.headers
        assert server.ask("/constants.json").status == 200
        assert server.ask("/constants.json", headers={"Range": "bytes=0-9"}).status == 200
        disk.joinpath("full").unlink()
        assert (
            server.ask("/worker.js", headers={"Accept-Encoding": "br"}).headers["Content-Encoding"] == "br"
        )
        for number in range(40):
            sent = server.send(raw, format="tiff")
            assert sent.status == 202, number
            done = server.finished(sent.json["id"])
            assert done["state"] == "done", done["error"]
            assert server.ask(f"/{done['result']['url']}").status == 200
        assert server.ask(f"/api/jobs/{failed['id']}").status == 404
        assert server.send(bytes(13 << 20)).status == 507
        assert server.stop()[0] == 0
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_for_temporary_files_that_takes_none_is_told_and_no_other_is_taken(tmp_path):
    for options, variables in (
        (["--temp", str(tmp_path / "none")], {}),
        ([], {"TMPDIR": str(tmp_path / "none")}),
    ):
        command = [sys.executable, "-m", "scotopic", "serve", "--port", "0", *options]
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 1
        assert str(tmp_path / "none") in done.stderr
        assert "--temp" in done.stderr
        assert done.stdout == ""


def test_stopping_in_the_middle_of_everything_leaves_nothing(own, large):
    server = own()
    running = server.send(large).json["id"]
    told = server.events(running)
    while next(told)["state"] != "running":
        pass
    server.send(large)
    half = socket.create_connection(("localhost", server.port), PATIENCE_S)
    half.sendall(b"POST /api/enhance?name=a.dng HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n")
    half.sendall(b"Content-Type: application/octet-stream\r\n\r\n" + bytes(100_000))
    wait_until(lambda: len(server.pictures) >= 3)
    children = server.children()
    assert children
    status, words = server.stop(signal.SIGTERM)
    assert status == 0, words
    assert "Traceback" not in words
    assert "stopped" in words
    assert list(told)[-1]["state"] == "cancelled"
    assert list(server.temporary.iterdir()) == []
    assert not any(lives(child) for child in children)
    half.close()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system knows no terminals that are closed")
def test_a_server_under_nohup_outlives_its_terminal(own):
    server = own("--page-only", before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    server.process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(timeout=0.4)
    assert server.ask("/api/status").status == 200
    status, words = server.stop(signal.SIGTERM)
    assert status == 0, words


def test_even_a_killed_server_leaves_no_pictures(own, large):
    server = own()
    id = server.send(large).json["id"]
    told = server.events(id)
    while next(told)["state"] != "running":
        pass
    children = server.children()
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not server.pictures)
    wait_until(lambda: not any(lives(child) for child in children))


@pytest.mark.slow
def test_a_start_sweeps_up_what_a_power_cut_left_and_spares_the_living(own, raw, tmp_path):
    living = own()
    id = living.send(raw).json["id"]
    assert living.finished(id)["state"] == "done"
    dead = living.temporary / "scotopic-serve-dead" / "pictures" / "x"
    dead.mkdir(parents=True)
    (dead / "photo.dng").write_bytes(raw)
    stranger = living.temporary / "scotopic-serve-notes.txt"
    stranger.write_text("mine")
    second = Server(living.temporary, "--page-only")
    assert not dead.exists()
    assert stranger.read_text() == "mine"
    assert living.ask(f"/api/jobs/{id}/result").status == 200
    assert second.ask("/api/status").json == {}
    assert second.ask("/api/enhance?name=a.dng", "POST", raw, RAW).status == 404
    status, words = second.stop(signal.SIGHUP)
    assert status == 0, words
    assert second.temporary.joinpath("scotopic-serve-notes.txt").exists()


def absent_devices() -> list[str]:
    absent = []
    for name in ("cuda", "openvino"):
        try:
            check_device(name)
        except SettingsError:
            absent.append(name)
    return absent


@pytest.mark.slow
def test_what_cannot_work_is_told_in_a_line_at_the_start(server):
    for options, words in (
        (["--port", str(server.port)], "in use"),
        (["--certificate", "none.pem", "--key", "none.pem"], "none.pem: there is no such file"),
        (["--allow-host", "https://dark.example/"], "without scheme"),
        (["--allow-host", ""], "without scheme"),
        (["--allow-host", "dark.example:8443"], "without scheme"),
        *[(["--device", name], f"device {name}") for name in absent_devices()],
        (["--host", "nowhere.invalid"], "no address"),
    ):
        command = [sys.executable, "-m", "scotopic", "serve", "--port", "0", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert "warning" not in done.stderr


@pytest.mark.slow
def test_a_key_with_a_passphrase_is_told_as_one_where_nobody_can_be_asked(tmp_path):
    pair = ("-x509", "-newkey", "rsa:2048", "-subj", "/CN=localhost", "-passout", "pass:secret")
    made = [
        "openssl",
        "req",
        *pair,
        "-keyout",
        str(tmp_path / "key.pem"),
        "-out",
        str(tmp_path / "cert.pem"),
    ]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(made, check=True, capture_output=True)
    options = ["--certificate", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem")]
    done = subprocess.run(
        [sys.executable, "-m", "scotopic", "serve", "--port", "0", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert done.returncode == 2
    assert "passphrase" in done.stderr
    assert "Errno" not in done.stderr


def test_a_server_that_is_stopped_while_it_starts_promises_no_results():
    program = (
        "import os, signal, sys, scotopic.cli, scotopic.web.server as server\n"
        "server.serve = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.argv = ['scotopic', 'serve']\n"
        "scotopic.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 130
    assert done.stderr == "stopped; no pictures are left here\n"


@pytest.mark.slow
def test_serving_to_others_warns_and_knows_addresses_but_no_foreign_names(own):
    server = own("--host", "0.0.0.0", "--allow-host", "dark.example")
    for host, status in (("192.168.1.5", 200), ("dark.example", 200), ("evil.example", 403)):
        assert server.ask("/api/status", headers={"Host": f"{host}:{server.port}"}).status == status
    behind = {
        ("localhost:8000", "https://dark.example"): 200,
        ("dark.example", "https://dark.example:8443"): 200,
        ("dark.example", "https://evil.example"): 403,
        ("dark.example", "https://dark.example.evil.example"): 403,
        ("dark.example", "app://dark.example"): 200,  # the same place as Host
        ("localhost:8000", "app://dark.example"): 403,
        ("localhost:8000", "null"): 403,
        ("evil.example", "https://dark.example"): 403,
    }
    for (host, origin), status in behind.items():
        answer = server.ask("/api/status", headers={"Host": host, "Origin": origin})
        assert answer.status == status, (host, origin)
        if status == 403:
            assert host in answer.json["error"]["words"]
    status, words = server.stop(signal.SIGINT)
    assert status == 0
    assert "Traceback" not in words
    assert "warning" in words
    assert "https" in words


def test_the_description_is_whole_and_its_page_for_people_needs_nothing_else(server):
    document = server.ask("/api/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {
        "/api/status",
        "/api/enhance",
        "/api/jobs/{id}",
        "/api/jobs/{id}/again",
        "/api/jobs/{id}/events",
        "/api/jobs/{id}/result",
    }
    page = server.ask("/api/")
    text = page.body.decode()
    for path in document["paths"]:
        assert path in text
    assert not re.search(r"<(script|link|img|iframe)", text)
    assert "style-src 'sha256-" in page.headers["Content-Security-Policy"]
    # What scrolls can have the focus, all stands in the main part, and the tab is told from the page's.
    assert "<title>scotopic API</title>" in text
    assert re.search(r"<body><main><h1>scotopic API</h1>.*</main></body>", text, re.S)
    assert all('tabindex="0"' in pre for pre in re.findall(r"<pre[^>]*>", text))
    assert server.ask("/api").headers["Location"] == "api/"


def test_what_every_good_answer_holds_and_which_headers_answers_have_is_described(server):
    paths = server.ask("/api/openapi.json").json["paths"]
    answers = {
        (path, status): answer
        for path, operations in paths.items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
    }
    for (path, status), answer in answers.items():
        if status.startswith("2") and status != "204":
            assert answer["content"], (path, status)
            assert all(kind["schema"] for kind in answer["content"].values()), (path, status)
        if status in ("429", "503", "507"):
            assert set(answer["headers"]) == {"Retry-After"}
    job = {"$ref": "#/components/schemas/JobAnswer"}
    result = "/api/jobs/{id}/result"
    for path in ("/api/enhance", "/api/jobs/{id}/again"):
        accepted = answers[path, "202"]
        assert accepted["content"]["application/json"]["schema"] == job
        assert set(accepted["headers"]) == {"Location"}
    types = {facts.media_type for facts in FACTS.values()}
    assert types == set(answers[result, "200"]["content"])
    assert set(answers[result, "206"]["content"]) - types == {"multipart/byteranges"}
    assert set(answers[result, "200"]["headers"]) == {"Content-Disposition", "Accept-Ranges"}
    assert "Content-Range" in answers[result, "206"]["headers"]
    assert "Content-Range" in answers[result, "416"]["headers"]


def test_head_is_answered_where_get_is_and_allow_names_every_method_of_an_address(server):
    for path in (
        "/api",
        "/api/",
        "/api/openapi.json",
        "/api/status",
        "/api/jobs/none",
        "/api/jobs/none/result",
    ):
        head, got = server.ask(path, "HEAD"), server.ask(path)
        assert head.status == got.status, path
        assert head.body == b""
        assert head.headers["Content-Length"] == str(len(got.body))
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    for path, allowed in {
        "/api": "GET, HEAD",
        "/api/": "GET, HEAD",
        "/api/openapi.json": "GET, HEAD",
        "/api/status": "GET, HEAD",
        "/api/enhance": "POST",
        "/api/jobs/none": "DELETE, GET, HEAD",
        "/api/jobs/none/again": "POST",
        "/api/jobs/none/events": "GET",
        "/api/jobs/none/result": "GET, HEAD",
    }.items():
        answer = server.ask(path, "PUT")
        assert (answer.status, answer.code) == (405, "method"), path
        assert answer.headers["Allow"] == allowed, path
    assert server.ask("/api/jobs/none/events", "HEAD").headers["Allow"] == "GET"
    nowhere = server.ask("/api/nowhere")
    assert (nowhere.status, nowhere.code) == (404, "not-found")


def test_the_codes_of_errors_are_those_that_the_documentation_lists():
    words = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", words, re.M)
    listed = {code: int(status) for status, codes in rows for code in re.findall(r"`(.+?)`", codes)}
    assert listed == STATUS_OF
    failed = words.partition("A picture that failed says why")[2].partition("\n\n")[0]
    codes = set(re.findall(r"`([a-z-]+)`", failed)) - {"error"}
    assert codes == {*FAULTS.values(), "jpeg", code_of("Other")}


def test_what_is_shared_without_a_service_worker_opens_the_page(server):
    answer = server.ask("/share-target", "POST", b"x")
    assert answer.status == 303
    assert answer.headers["Location"].startswith("./")
