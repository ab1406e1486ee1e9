"""The synthetic benchmark's photos, by checksums: figures can be compared as long as these stay.

    python benchmarks/benchmark_photos.py

writes docs/figures/benchmark.json: the SHA-256 of each clean scene's file, and the CRC-32 of the mosaic that each
condition takes of the first one. Run it when a condition or a scene is added. Where a number changes that was there
before, published figures are of other photos: measure all of them anew.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from scotopic.evaluate.conditions import CONDITIONS
from scotopic.evaluate.protocols import take
from scotopic.evaluate.scenes import find_all, load
from scotopic.write import place_bytes

STORED = Path(__file__).parent.parent / "docs" / "figures" / "benchmark.json"


def photos() -> dict[str, Any]:
    """The checksums, as they are stored."""
    files = find_all(None)
    first = load(files[0])
    return {
        "scenes_sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "first_scene_crc32": {c.name: zlib.crc32(take(first, c).mosaic.data.tobytes()) for c in CONDITIONS},
    }


def main() -> None:
    place_bytes(STORED, (json.dumps(photos(), indent=1) + "\n").encode(), overwrite=True)


if __name__ == "__main__":
    main()
