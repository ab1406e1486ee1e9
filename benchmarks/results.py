"""What all benchmarks do with what they found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def print_result(result: dict[str, Any], output: Path | None) -> None:
    """Print the result as JSON, and write it to `output` where there is one."""
    text = json.dumps(result, indent=1)
    if output:
        output.write_text(text + "\n")
    print(text)
