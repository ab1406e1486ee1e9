from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import platform
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SAMPLE
from dng_files import write
from scotopic.dng.origin import read_origin
from scotopic.errors import NotRawError, ReadError, SettingsError, UnsafeFileError
from scotopic.frame import Capture, Linear, Mosaic
from scotopic.read import libraw_develop, read
from scotopic.sandbox import (
    Limits,
    kernel,
    libraw_develop_sandboxed,
    parent,
    read_origin_sandboxed,
    read_sandboxed,
    wire,
)
from scotopic.sandbox.limits import MEMORY_MIN
from test_metadata import RICH

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the sandbox needs Linux or macOS")
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LEVELS = {50714: 512, 50717: 16383}


def same(one, other) -> bool:
    """Whether two values of a picture's fields are the same, arrays by their values."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(
            same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__
        )
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def a_mosaic(rng, **more) -> Mosaic:
    values = {"black": np.full((2, 2), 512.0), "white": 16383.0, "saturation": 16000.0}
    data = rng.integers(0, 16383, (40, 60)).astype(np.uint16)
    return Mosaic(data=data, cfa=((0, 1), (1, 2)), wb=(2.0, 1.0, 1.5), exif=RICH, **(values | more))


def through_the_wire(picture):
    header, data = wire.packed(picture)
    read_back = wire.loaded(wire.dumped(header))
    room = wire.room(read_back, 1 << 30)
    room[...] = data
    return wire.unpacked(read_back, room)


def test_the_sandbox_gives_the_picture_that_read_gives(tmp_path, rng):
    linear = write(
        tmp_path / "linear.dng",
        rng.integers(0, 9000, (40, 60, 3)).astype(np.uint16),
        cell=None,
        tags=LEVELS,
    )
    for path in (SAMPLE, linear):
        one, other = read(path), read_sandboxed(path)
        assert same(one, other)
        assert other.data.flags.writeable


def test_every_field_of_a_picture_comes_through(rng):
    full = a_mosaic(
        rng,
        xyz_to_camera=rng.random((3, 3)),
        exposure_s=0.5,
        iso=3200.0,
        make="SONY",
        model="ILCE-7SM2",
        orientation=6,
        pixel_aspect=1.5,
        noise=read(SAMPLE).noise,
    )
    assert same(full, through_the_wire(full))
    light = Linear(
        data=rng.random((40, 60, 3), np.float32), clip=2.0, ratio=1.0, wb=(1.0, 1.0, 1.0), monochrome=True
    )
    assert same(light, through_the_wire(light))
    given_away = set(wire.packed(full)[0]) - {
        "kind",
        "dtype",
        "shape",
        "cfa",
        "black",
        "white",
        "saturation",
    }
    assert given_away == set(Capture.__dataclass_fields__)


def test_what_read_refuses_the_sandbox_refuses_in_the_same_words(tmp_path):
    (tmp_path / "notes.arw").write_text("exposure 1/30\n")
    (tmp_path / "cut.dng").write_bytes(SAMPLE.read_bytes()[:90_000])
    for name in ("notes.arw", "cut.dng", "none.arw"):
        with pytest.raises(ReadError) as plainly:
            read(tmp_path / name)
        with pytest.raises(ReadError) as apart:
            read_sandboxed(tmp_path / name)
        assert type(apart.value) is type(plainly.value)
        assert str(apart.value) == str(plainly.value)


def test_libraws_own_development_and_a_dngs_origin_come_from_the_sandbox_too(tmp_path):
    assert np.array_equal(
        libraw_develop_sandboxed(SAMPLE, bright=4.0, bits=16), libraw_develop(SAMPLE, bright=4.0, bits=16)
    )
    size = read(SAMPLE).data.shape
    assert read_origin_sandboxed(SAMPLE, *size) == read_origin(SAMPLE, *size)
    broken = tmp_path / "broken.dng"
    broken.write_bytes(SAMPLE.read_bytes()[:500])
    assert read_origin_sandboxed(broken, *size) == read_origin(broken, *size)


def test_names_that_are_no_text_and_words_beside_the_file_are_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xffght.dng"))
    path.write_bytes(SAMPLE.read_bytes())
    path.with_name(path.name + ".xmp").write_bytes(
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
    )
    assert read_sandboxed(path).exif.words.rating == 4


ENDLESS = (
    sys.executable,
    *("-P", "-B", "-c"),
    "import time\nimport scotopic.sandbox.child as child\nread = child.read\n"
    "child.read = lambda path: time.sleep(1000) if path.name == 'endless.dng' else read(path)\nchild.main()\n",
)
"""A decoder that hangs at one file."""


@pytest.fixture
def endless(tmp_path, monkeypatch) -> Path:
    """A file at which whoever decodes it hangs."""
    monkeypatch.setattr(parent, "_CHILD", ENDLESS)
    path = tmp_path / "endless.dng"
    path.write_bytes(SAMPLE.read_bytes())
    return path


def children() -> list[int]:
    """The decoders that this process has started."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in map(int, (task / "children").read_text().split()):
            with contextlib.suppress(OSError):
                if b"scotopic.sandbox.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
    return found


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_decoder_that_is_killed_is_an_error_and_this_process_goes_on(endless, number):
    caught: list[BaseException] = []

    def work() -> None:
        try:
            read_sandboxed(endless)
        except BaseException as error:
            caught.append(error)

    before = set(children())
    thread = threading.Thread(target=work)
    thread.start()
    pid = started(before)
    os.kill(pid, number)
    thread.join(60)
    (error,) = caught
    assert isinstance(error, UnsafeFileError)
    assert "endless.dng" in str(error)
    assert signal.Signals(number).name in str(error)
    assert read_sandboxed(SAMPLE).data.shape == (1152, 1152)


def started(before: set[int]) -> int:
    """The process that decodes, as soon as it is bound to its limits."""
    for _ in range(600):
        for pid in set(children()) - before:
            limits = Path(f"/proc/{pid}/limits").read_text()
            if "Max file size             0" in limits:
                time.sleep(0.5)  # It says so only after the last of them.
                return pid
        time.sleep(0.1)
    raise AssertionError("no decoder was started")


@linux
def test_a_decoder_out_of_computing_time_is_told_as_that(endless):
    caught: list[BaseException] = []

    def work() -> None:
        try:
            read_sandboxed(endless)
        except BaseException as error:
            caught.append(error)

    before = set(children())
    thread = threading.Thread(target=work)
    thread.start()
    os.kill(started(before), signal.SIGXCPU)
    thread.join(60)
    assert "120 s of computing" in str(caught[0])


def test_a_decoder_that_hangs_is_stopped_in_time(endless):
    with pytest.raises(UnsafeFileError, match=r"endless\.dng: .*more than the 0\.5 s allowed"):
        read_sandboxed(endless, Limits(wall_s=0.5))


@linux
def test_nothing_of_a_decoder_is_left(endless):
    with pytest.raises(UnsafeFileError):
        read_sandboxed(endless, Limits(wall_s=0.2))
    assert children() == []
    files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        with pytest.raises(NotRawError):
            read_sandboxed(Path(__file__))
    assert len(list(Path("/proc/self/fd").iterdir())) == files


@linux
def test_the_decoder_dies_with_whoever_started_it(endless):
    code = (
        "import sys; from scotopic.sandbox import parent; parent._CHILD = tuple(sys.argv[2:]); "
        "parent.read_sandboxed(sys.argv[1])"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(endless), *ENDLESS]) as process:
        child = 0
        for _ in range(600):
            found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if found and "Max file size             0" in Path(f"/proc/{found[0]}/limits").read_text():
                child = int(found[0])
                break
            time.sleep(0.1)
        assert child
        process.kill()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    raise AssertionError("the decoder lives on")


def a_bomb(folder: Path) -> Path:
    """Pixels that take half a megabyte in the file and 600 in memory, all by the rules."""
    return write(
        folder / "bomb.dng",
        np.zeros((10_000, 30_000), np.uint16),
        tags=LEVELS,
        compression=8,
        rowsperstrip=500,
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not hold programs to their address space")
def test_a_file_that_unfolds_beyond_the_memory_allowed_is_refused(tmp_path):
    bomb = a_bomb(tmp_path)
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(UnsafeFileError, match=r"bomb\.dng: .*more than the 640 MiB allowed"):
        read_sandboxed(bomb, Limits(memory_bytes=640 << 20))


def test_limits_in_which_nothing_could_be_read_are_refused():
    for wrong in ({"memory_bytes": MEMORY_MIN - 1}, {"cpu_s": 0}, {"wall_s": 0.0}, {"open_files": 3}):
        with pytest.raises(SettingsError):
            Limits(**wrong)


@linux
def test_the_kernel_forbids_a_decoder_files_network_and_programs(tmp_path):
    """Whoever takes the decoder over gets no further."""
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for path in (allowed, secret):
        path.write_text("words")
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_OVER, str(allowed), str(secret), str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    held, got = json.loads(done.stdout)
    offered = []
    if ctypes.CDLL(None).syscall(kernel._LANDLOCK_CREATE, None, 0, 1) > 0:
        offered.append("files")
    if platform.machine() in kernel._CALLS and "\nSeccomp:" in Path("/proc/self/status").read_text():
        offered.append("calls")
    assert held == offered
    if len(held) < 2:
        pytest.skip(f"this kernel offers only {held or 'nothing'}")
    assert got == {"read": "words", "thread": "ran"}
    assert secret.read_text() == "words"


FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF, 6: 0xFFFF, 7: 0xFFFF, 20: 0xFFFF}
"""What each version of Landlock knows (Documentation/userspace-api/landlock.rst); of later ones, what we know."""


class KernelOf:
    """Landlock's calls as a kernel of one version answers them: whoever asks for a right that it does not know, gets
    EINVAL."""

    def __init__(self, version: int):
        self.version, self.handled, self.restricted = version, None, False

    def syscall(self, number, *args):
        if number == kernel._LANDLOCK_CREATE and args[0] is None:
            return self.version
        if number == kernel._LANDLOCK_CREATE:
            (self.handled,) = struct.unpack("<Q", args[0])
            return -1 if self.handled & ~FILE_RIGHTS[self.version] else os.open(os.devnull, os.O_RDONLY)
        self.restricted |= number == kernel._LANDLOCK_RESTRICT
        return 0


@linux
@pytest.mark.parametrize("version", FILE_RIGHTS)
def test_every_version_of_landlock_is_asked_for_all_that_it_knows(version):
    """One right too many, and the kernel forbids nothing at all."""
    libc = KernelOf(version)
    assert kernel._landlocked(libc, [Path("/usr")])
    assert libc.restricted
    assert libc.handled == FILE_RIGHTS[version]


@linux
def test_the_memory_of_a_decoder_is_nobodys_to_look_into():
    """No dump of it is written, and no other process of the same user may read it."""
    code = (
        "import ctypes, os, resource; from scotopic.sandbox.limits import Limits, bind; bind(Limits(), os.getppid())\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["0", "0", "0"]


TAKEN_OVER = """
import ctypes, json, os, platform, socket, struct, subprocess, sys, threading, resource
from pathlib import Path
from scotopic.sandbox.kernel import confine, libraries
allowed, secret, parent = sys.argv[1:]
held = confine([*libraries(), Path(allowed)])
got = {}
def attempt(name, action):
    try:
        got[name] = str(action())
    except OSError:
        pass
def thread():
    found = []
    one = threading.Thread(target=lambda: found.append("ran"))
    one.start(); one.join()
    return found[0]
attempt("read", lambda: Path(allowed).read_text())
attempt("thread", thread)
attempt("secret", lambda: Path(secret).read_text())
attempt("list", lambda: os.listdir(os.path.dirname(secret)))
attempt("write", lambda: Path(secret).write_text("changed"))
attempt("write allowed", lambda: Path(allowed).write_text("changed"))
attempt("new", lambda: Path(secret + "2").touch())
attempt("unlink", lambda: os.unlink(secret))
attempt("rename", lambda: os.rename(secret, secret + "3"))
attempt("socket", lambda: socket.socket())
attempt("pair", lambda: socket.socketpair())
attempt("run", lambda: subprocess.run(["true"]))
attempt("exec", lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))
attempt("fork", os.fork)
attempt("kill", lambda: os.kill(int(parent), 0))
attempt("memory", lambda: open(f"/proc/{parent}/mem", "rb"))
attempt("times", lambda: os.utime(secret))
attempt("mode", lambda: os.chmod(secret, 0o644))
attempt("words", lambda: os.setxattr(secret, "user.a", b"1"))
# Calls that no library makes yet, by their numbers: the same on every processor, and those that only an old one has.
libc = ctypes.CDLL(None, use_errno=True)
path, one = os.fsencode(secret), ctypes.create_string_buffer(b"1")
def call(name, number, *arguments):
    if libc.syscall(number, *arguments) >= 0:
        got[name] = "done"
call("fchmodat2", 452, -100, path, 0o644, 0)
call("setxattrat", 463, -100, path, 0, b"user.a", struct.pack("<QII", ctypes.addressof(one), 1, 0), 16)
call("file_setattr", 469, -100, path, struct.pack("<QIIII", 0, 0, 0, 0, 0), 24, 0)
if platform.machine() == "x86_64":
    call("utime", 132, path, None)
    call("utimes", 235, path, None)
    call("futimesat", 261, -100, path, None)
sys.stdout.write(json.dumps([held, got]))
"""


ANSWER = "import os, struct, sys; sys.stdin.readline(); answer = lambda b: os.write(1, b)\nanswer(b'R')\n"
HEADER = "import json\nheader = lambda h: (lambda c: answer(struct.pack('<Q', len(c)) + c))(json.dumps(h).encode())\n"
WHOLE = {
    key: value
    for key, value in wire.packed(a_mosaic(np.random.default_rng(0)))[0].items()
    if key not in ("exif",)
} | {"exif": {"main": [], "exif": [], "gps": [], "words": {}, "enhanced": False}}


class Harm:
    """What unpickling would do."""

    def __reduce__(self):
        return os.system, ("exit 1",)


HOSTILE = {
    "a pickle": f"answer({pickle.dumps(Harm())!r})",
    "no end of a header": "answer(struct.pack('<Q', 1 << 40))",
    "silence": "",
    "no JSON": "answer(struct.pack('<Q', 3) + b'abc')",
    "deep JSON": "answer(struct.pack('<Q', 200000) + b'[' * 200000)",
    "another kind": "header({'kind': 'shown', 'dtype': 'uint8', 'shape': [4, 4, 3]})",
    "objects": "header({'kind': 'mosaic', 'dtype': 'object', 'shape': [40, 60]})",
    "more than there is": "header({'kind': 'linear', 'dtype': 'float32', 'shape': [60000, 8000, 3]})",
    "a negative size": "header({'kind': 'mosaic', 'dtype': 'uint16', 'shape': [-4, -4]})",
    "no numbers": "header({'kind': 'mosaic', 'dtype': 'uint16', 'shape': ['4', None]})",
    "half a picture": "header({'kind': 'mosaic', 'dtype': 'uint16', 'shape': [400, 400]}); answer(bytes(999))",
    "missing facts": "header({'kind': 'mosaic', 'dtype': 'uint16', 'shape': [4, 4]}); answer(bytes(32))",
    "black above white": f"header({WHOLE | {'white': 3.0}!r}); answer(bytes(4800))",
    "words on a terminal": "header({'error': 'ReadError', 'words': 'a\\x1b]0;b\\x07\\n' * 9999})",
    "an error of another kind": "header({'error': 'SystemExit', 'words': 'x'})",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_decoder_taken_over_sends_is_no_more_than_an_error(monkeypatch, name):
    monkeypatch.setattr(parent, "_CHILD", (sys.executable, "-S", "-c", ANSWER + HEADER + HOSTILE[name]))
    with pytest.raises(ReadError) as caught:
        read_sandboxed(SAMPLE, Limits(wall_s=20))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2500


def test_keys_in_the_environment_are_kept_from_the_decoder(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "swordfish")
    monkeypatch.setenv("TZ", "UTC")
    told = "header({'error': 'ReadError', 'words': ' '.join(os.environ)})"
    monkeypatch.setattr(parent, "_CHILD", (sys.executable, "-S", "-c", ANSWER + HEADER + told))
    with pytest.raises(ReadError, match="TZ") as caught:
        read_sandboxed(SAMPLE)
    assert "SECRET_KEY" not in str(caught.value)


def test_a_decoder_that_leaves_a_process_of_its_own_holds_nobody_up(monkeypatch):
    """That process keeps the pipe open."""
    code = ANSWER + "import time\nif os.fork() == 0: time.sleep(1000)\n"
    monkeypatch.setattr(parent, "_CHILD", (sys.executable, "-S", "-c", code))
    with pytest.raises(UnsafeFileError):
        read_sandboxed(SAMPLE, Limits(wall_s=0.5))


def test_a_sandbox_that_cannot_start_does_not_blame_the_file(monkeypatch):
    monkeypatch.setattr(parent, "_CHILD", (sys.executable, "-S", "-c", "raise SystemExit(3)"))
    with pytest.raises(ReadError, match="nothing is wrong with the file") as caught:
        read_sandboxed(SAMPLE)
    assert not isinstance(caught.value, UnsafeFileError)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


PACKED = wire.dumped(wire.packed(a_mosaic(np.random.default_rng(0)))[0])


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_header_with_anything_in_it_is_a_picture_or_refused(data):
    header = json.loads(PACKED)
    places = [(header, key) for key in header] + [(header["exif"], key) for key in header["exif"]]
    for where, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
        where[key] = data.draw(PLAIN)
    try:
        room = wire.room(header, 1 << 20)
        room[...] = 700
        picture = wire.unpacked(header, room)
    except (wire.WireError, SettingsError):
        return
    assert isinstance(picture, (Mosaic, Linear))
    picture.exif.to_bytes(60, 40, "test")
