"""Thousands of mutated RAW files, each read by a worker that may crash; this process may not.

    python tests/fuzz/hostile.py --cases 5000 [--seed 0] [--show CASE]

Prints what came of them as JSON and ends with 1 if any broke a promise.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from fuzz import mutate, seeds

CASE_S = 30.0
"""The longest that one file may take; on a busy machine."""

MEMORY = 3 << 30
"""Bytes of address space for the worker: libraries, the network and any file."""

ENHANCED_OF = 12
"""One file in so many is enhanced and written, too."""


def case(number: int, seed: int, files: list[Path]) -> tuple[Path, bytes, str]:
    """The file that a case is a mutant of, its bytes, and what was done."""
    rng = np.random.default_rng([seed, number])
    costs = np.array([max(1.0, p.stat().st_size / 100_000) for p in files])
    weights = 1 / costs / (1 / costs).sum()
    source, other = (files[int(i)] for i in rng.choice(len(files), 2, p=weights))
    content, how = mutate.mutated(source.read_bytes(), other.read_bytes(), rng)
    return source, content, how


def worker(folder: Path, seed: int, start: int, stop: int, most: int | None) -> None:
    """Treat the cases in turn; a line of JSON for each."""
    import warnings

    from fuzz.examine import examined
    from scotopic.run import Models

    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    files = _files(folder, most)
    models = Models(device="cpu")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = folder / "out"
    out.mkdir(exist_ok=True)
    for number in range(start, stop):
        for left in out.iterdir():
            left.unlink()
        source, content, how = case(number, seed, files)
        # The name says nothing of what it is, as ever.
        path = folder / f"case{source.suffix}"
        path.write_bytes(content)
        begun = time.monotonic()
        done: dict[str, Any] = {"case": number, "source": source.name, "how": how}
        try:
            whole = number % ENHANCED_OF == 0
            done["verdict"] = examined(path, models if whole else None, out if whole else None)
        except MemoryError:
            done["verdict"] = "MemoryError"
        except BaseException as error:
            done["verdict"] = "FAULT"
            done["words"] = f"{type(error).__name__}: {str(error)[:300]}"
            done["where"] = "".join(traceback.format_tb(error.__traceback__)[-4:])
        path.unlink(missing_ok=True)
        done["seconds"] = time.monotonic() - begun
        done["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answers.write(json.dumps(done) + "\n")


def _files(folder: Path, most: int | None) -> list[Path]:
    return sorted((folder / "seeds").glob("*.dng")) + seeds.real(most)


def outcomes(cases: int, seed: int, most: int | None = None, start: int = 0) -> Iterator[dict[str, Any]]:
    """What came of each case. A worker that crashes or hangs is an outcome, and the next one goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "seeds").mkdir()
        seeds.make_all(folder / "seeds")
        stop = start + cases
        while start < stop:
            words = [sys.executable, __file__, "--worker", name, "--seed", str(seed)]
            words += ["--range", str(start), str(stop), "--most", str(most or 0)]
            with subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
            ) as process:
                assert process.stdout is not None
                ended = ""
                waiting = CASE_S + 20
                while start < stop:
                    if not select.select([process.stdout], [], [], waiting)[0]:
                        process.kill()
                        ended = "HANG"
                        break
                    line = process.stdout.readline()
                    if not line:
                        ended = "CRASH"
                        break
                    waiting = CASE_S
                    yield json.loads(line)
                    start += 1
                process.stdout.close()
                status = process.wait()
            if ended:
                words_of = signal.Signals(-status).name if status < 0 else f"status {status}"
                yield {"case": start, "verdict": ended, "words": words_of}
                start += 1


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of a run; `faults` must be empty, `crashes` are LibRaw's own and cost one process each."""
    counts = Counter(one["verdict"] for one in found)
    return {
        "cases": len(found),
        "verdicts": dict(counts.most_common()),
        "slowest_s": round(max((one.get("seconds", 0.0) for one in found), default=0.0), 2),
        "peak_mib": max((one.get("peak", 0) for one in found), default=0) >> 20,
        "faults": [one for one in found if one["verdict"] in ("FAULT", "HANG")],
        "crashes": [one for one in found if one["verdict"] == "CRASH"],
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=0, help="leave out real files above so many bytes")
    parser.add_argument("--show", type=int, help="write this case's file to standard output")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    most = chosen.most or None
    if chosen.worker:
        worker(chosen.worker, chosen.seed, *chosen.range, most)
    elif chosen.show is not None:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "seeds").mkdir()
            seeds.make_all(Path(name) / "seeds")
            source, content, how = case(chosen.show, chosen.seed, _files(Path(name), most))
            print(source.name, how, file=sys.stderr)
            sys.stdout.buffer.write(content)
    else:
        found = summary(list(outcomes(chosen.cases, chosen.seed, most, chosen.start)))
        print(json.dumps(found, indent=1))
        sys.exit(bool(found["faults"]))


if __name__ == "__main__":
    main()
