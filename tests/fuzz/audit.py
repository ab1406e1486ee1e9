"""What is known of holes in the pinned dependencies: `python tests/fuzz/audit.py constraints.txt`.

Runs pip-audit, ends with 1 where there is a hole, and says aloud what could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys

EXPLAINED: dict[str, str] = {}
"""Holes that do not concern us, by their number, and why."""


def main() -> None:
    """The command line."""
    words = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json", "-r", sys.argv[1]]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"SKIPPED: pip-audit cannot reach its service: {done.stderr.strip().splitlines()[-1:]}")
        return
    looked_up = [one for one in found if "vulns" in one]
    holes = [
        (one["name"], one["version"], hole["id"], hole.get("fix_versions"))
        for one in looked_up
        for hole in one["vulns"]
        if hole["id"] not in EXPLAINED
    ]
    if len(looked_up) < len(found):
        print(
            f"SKIPPED: {len(found) - len(looked_up)} of {len(found)} packages are not known to the service"
        )
    print(f"{len(looked_up)} packages looked up, {len(holes)} holes", *holes, sep="\n")
    sys.exit(bool(holes))


if __name__ == "__main__":
    main()
