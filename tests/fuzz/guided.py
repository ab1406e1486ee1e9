"""Our own parsing under a coverage-guided fuzzer (Atheris, libFuzzer inside): one input, one parser, no surprise.

    python tests/fuzz/guided.py [--seconds 60] [--corpus FOLDER] [--repeat FILE]

Ends with 1 where a parser raised what it must not, and leaves the input that did it as crash-* in the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent
MEMORY_MIB, INPUT_MAX, INPUT_S = 3000, 60_000, 60
PIXELS_MAX = 1_000_000
"""Larger pictures are decoded slowly and teach nothing more."""


def parsers(scratch: Path) -> list[Any]:
    """Functions of bytes that raise nothing but what they say; the first byte of an input chooses one."""
    from scotopic.calibration.profile import load
    from scotopic.dng.directory import read_dng_tags
    from scotopic.dng.opcodes import gain_maps, split, tone_maps
    from scotopic.dng.origin import is_opcode_list, read_origin
    from scotopic.dng.read import read_dng
    from scotopic.errors import ModelError, ReadError, SettingsError
    from scotopic.identify import check_is_raw
    from scotopic.metadata import is_enhanced, read_exif, xmp_packet
    from scotopic.metadata.exifplaces import exif_places
    from scotopic.metadata.xmp import parse
    from scotopic.models import load_card
    from scotopic.sandbox import wire

    file = scratch / "a.dng"

    def directories(content: bytes) -> None:
        file.write_bytes(content)
        with contextlib.suppress(ReadError):
            check_is_raw(file)
        exif = read_exif(file)
        exif.to_bytes(96, 64, "test")
        xmp_packet(exif)
        is_enhanced(file)
        read_origin(file, 64, 96)

    def pixels(content: bytes) -> None:
        file.write_bytes(content)
        with contextlib.suppress(ReadError, MemoryError):
            dng = read_dng_tags(file)
            if dng is not None and dng.width * dng.height <= PIXELS_MAX:
                read_dng(file, dng, {})

    def opcodes(content: bytes) -> None:
        is_opcode_list(content)
        with contextlib.suppress(ValueError, TypeError):
            listed = split(content)
            tone_maps(listed)
            gain_maps(listed, 2)

    def packet(content: bytes) -> None:
        parse(content)

    def places(content: bytes) -> None:
        file.write_bytes(content)
        read_exif(file)
        with contextlib.suppress(Exception), file.open("rb") as opened:
            # Its caller takes whatever a broken file raises.
            exif_places(opened)

    def answer(content: bytes) -> None:
        with contextlib.suppress(wire.WireError, SettingsError):
            header = wire.loaded(content)
            room = wire.room(header, 1 << 20)
            room[...] = 1
            wire.unpacked(header, room)

    def card(content: bytes) -> None:
        (scratch / "card.json").write_bytes(content)
        with contextlib.suppress(ModelError):
            load_card(scratch)

    def profile(content: bytes) -> None:
        file.write_bytes(content)
        with contextlib.suppress(SettingsError):
            load(file)

    return [directories, pixels, opcodes, packet, places, answer, card, profile]


def sow(folder: Path) -> None:
    """Whole inputs for every parser."""
    import numpy as np

    import test_hostile
    import test_sandbox
    from fuzz import seeds
    from scotopic.metadata.xmp import Words, build
    from scotopic.models import find
    from scotopic.sandbox import wire

    with tempfile.TemporaryDirectory() as made:
        files = [p.read_bytes() for p in seeds.make_all(Path(made)) if p.stat().st_size < INPUT_MAX]
    broken = [p.read_bytes() for p in seeds.real(INPUT_MAX)]
    mosaic = test_sandbox.a_mosaic(np.random.default_rng(0))
    raf = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + (92).to_bytes(4) + (40).to_bytes(4) + files[0][:40]
    whole = {
        0: files + broken,
        1: files,
        2: [seeds._opcodes()],
        3: [build(Words(rating=3, title="Night", subjects=("moon",)), enhanced=True)],
        4: [raf, b"\0\0\0\x18ftypcrx " + bytes(8) + b"\0\0\0\x10moov" + bytes(8)],
        5: [wire.dumped(wire.packed(mosaic)[0])],
        6: [(find("bayer-fast").folder / "card.json").read_bytes()],
        7: [test_hostile.a_profile().to_json().encode()],
    }
    for number, contents in whole.items():
        for i, content in enumerate(contents):
            (folder / f"{number}-{i}").write_bytes(bytes([number]) + content)


def fuzz(corpus: Path, seconds: int, repeat: Path | None) -> None:
    """Run in this process until the time is over, or an input breaks a promise."""
    import atheris

    with atheris.instrument_imports(include=["scotopic", "exifread"]):
        import scotopic.calibration.profile
        import scotopic.dng.read
        import scotopic.metadata
        import scotopic.sandbox.wire  # noqa: F401
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    chosen = parsers(scratch)

    def once(content: bytes) -> None:
        if content:
            chosen[content[0] % len(chosen)](content[1:])

    flags = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={INPUT_MAX}"]
    flags += [f"-timeout={INPUT_S}", f"-artifact_prefix={corpus}/", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *flags, str(repeat or corpus)], once)
    atheris.Fuzz()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--repeat", type=Path)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("SKIPPED: no Atheris here; pip install atheris, which has wheels for Linux")
        return
    if chosen.run:
        fuzz(chosen.corpus, chosen.seconds, chosen.repeat)
        return
    sys.path.insert(0, str(TESTS))
    corpus = chosen.corpus or Path(tempfile.mkdtemp())
    corpus.mkdir(parents=True, exist_ok=True)
    sow(corpus)
    words = [sys.executable, __file__, "--run", "--corpus", str(corpus), "--seconds", str(chosen.seconds)]
    words += ["--repeat", str(chosen.repeat)] if chosen.repeat else []
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | _QUIET)
    lines = done.stderr.splitlines()
    print("\n".join([line for line in lines if line.startswith(("stat::", "Done", "SUMMARY"))]))
    if done.returncode:
        print("\n".join(lines[-60:]))
    sys.exit(done.returncode != 0)


_QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


if __name__ == "__main__":
    main()
