"""Seconds and memory of the page for one picture in headless Chromium, by engine; JSON on standard output.

    python benchmarks/page.py [--megapixels 12] [--runs 3] [--passes 1] [--engines wasm wasm-single]

The worker is asked as the page asks it: open, enhance, draw, save. Memory is the proportional share (PSS) of the
process that holds the page, its worker and the network's, at its most; `browser` that of all of Chromium's.
`cpu_s` are the processor's seconds that this process took for one picture, starting included: where others use
the machine too, they tell more than the clock, though threads that wait for each other count as well.
The engine webgpu is a simulated graphics processor here, slower by orders than a real one: few megapixels.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import scotopic
from scotopic.dng.write import write_mosaic
from scotopic.frame import Mosaic

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "dark_eagles.dng"
DRIVER = ROOT / "tests" / "page" / "worker-bench.mjs"
ENGINES = ("wasm", "wasm-single", "webgpu")
EVERY_S = 0.2
MB = 1e6


def picture(megapixels: float, path: Path) -> tuple[int, int]:
    """A DNG of that size, of the sample side by side; returns height and width."""
    mosaic = scotopic.read(SAMPLE)
    assert isinstance(mosaic, Mosaic)
    height = round((megapixels * 1e6 * 2 / 3) ** 0.5 / 2) * 2
    width = round(megapixels * 1e6 / height / 2) * 2
    tiles = [-(-n // m) for n, m in zip((height, width), mosaic.data.shape, strict=True)]
    data = np.ascontiguousarray(np.tile(mosaic.data, tiles)[:height, :width])
    write_mosaic(path, mosaic.with_changes(data=data))
    return height, width


class Memory(threading.Thread):
    """Watches a process and all below it: the most that Chromium's pages, and all of it, have taken."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.page = self.browser = self.cpu_s = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(EVERY_S):
            shares = {pid: pss(pid) for pid in below(self.root) if "chrom" in words(pid)}
            pages = [pid for pid in shares if "--type=renderer" in words(pid)]
            self.page = max([self.page, *(shares[pid] for pid in pages)])
            self.cpu_s = max([self.cpu_s, *map(cpu_s, pages)])
            self.browser = max(self.browser, sum(shares.values()))


def below(root: int) -> list[int]:
    """The numbers of all processes that a process has started, and those have."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def words(pid: int) -> str:
    """A process's command line, empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def cpu_s(pid: int) -> float:
    """Seconds of the processor that a process has taken."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    """A process's proportional share of memory in bytes."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) * 1024.0 if found else 0.0


def measure(url: str, path: Path, engine: str, runs: int, passes: int) -> dict[str, Any]:
    """One engine: medians of its seconds, and its memory."""
    node = subprocess.Popen(
        ["node", DRIVER, url, path, engine, str(runs), str(passes)], stdout=subprocess.PIPE, text=True
    )
    memory = Memory(node.pid)
    memory.start()
    said, _ = node.communicate()
    memory.over.set()
    memory.join()
    if node.returncode:
        return {"asked": engine, "failed": True}
    result = json.loads(said)
    rounds = result.pop("rounds")
    seconds = {key: round(statistics.median(r[key] for r in rounds), 3) for key in rounds[0]}
    most = {
        "cpu_s": round(memory.cpu_s / runs, 1),
        "page_mb": round(memory.page / MB),
        "browser_mb": round(memory.browser / MB),
    }
    return {
        "asked": engine,
        **result,
        "seconds": seconds,
        "enhanced_s": [r["enhanced"] for r in rounds],
        **most,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["wasm", "wasm-single"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scotopic-page-") as folder:
        path = Path(folder) / "picture.dng"
        height, width = picture(asked.megapixels, path)
        command = [sys.executable, "-m", "scotopic", "serve", "--page-only", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            url = address(server)
            engines = [measure(url, path, engine, asked.runs, asked.passes) for engine in asked.engines]
        finally:
            server.terminate()
            server.wait()
    started = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    print(json.dumps({"when": started, "height": height, "width": width, "engines": engines}, indent=1))


def address(server: subprocess.Popen[str]) -> str:
    """Where the server says that it is."""
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return found[0]
    raise SystemExit("scotopic serve ended before it was there: run make web, and install the extra 'web'")


if __name__ == "__main__":
    main()
