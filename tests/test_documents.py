"""What the documents list is what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from conftest import ROOT
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.frame import Mosaic


def told(*words: object) -> list[dict[str, object]]:
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    return [json.loads(line) for line in done.stdout.splitlines()]


def fields() -> dict[str, tuple[str, str]]:
    """Of docs/json.md: when a field is null, and whose it is."""
    rows: dict[str, tuple[str, str]] = {}
    for line in (ROOT / "docs" / "json.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), (cells[2], cells[3]))
    return rows


def options(command: Any, *names: str) -> Iterator[tuple[str, list[str]]]:
    """Each command's options by all of their names."""
    for name, below in getattr(command, "commands", {}).items():
        yield from options(below, *names, name)
    for option in command.params:
        if option.opts[0].startswith("-"):
            yield " ".join(names), [*option.opts, *option.secondary_opts]


def test_each_option_of_each_command_stands_in_a_document():
    documents = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", documents))
    missing = {
        f"{command} {names}"
        for command, names in options(typer.main.get_command(app))
        if not known & set(names) and "completion" not in names[0]
    }
    assert not missing


@pytest.fixture
def card(tmp_path, dark: Mosaic) -> Path:
    """A dark photo, one of which little is known, and what is no photo."""
    folder = tmp_path / "card"
    folder.mkdir()
    dark = dark.with_changes(data=dark.data[:64, :96])
    write_mosaic(folder / "dark.dng", dark)
    write_mosaic(folder / "untold.dng", dark.with_changes(make="", model="", iso=None, exposure_s=None))
    (folder / "none.dng").write_bytes(b"II*\0 no photo")
    return folder


@pytest.mark.parametrize("command", ["enhance", "develop", "info"])
def test_every_field_of_the_json_stands_in_the_table_and_is_null_only_where_that_says_so(
    command, card, tmp_path
):
    rows, out = fields(), tmp_path / "out.jpg"
    dark, untold, none = (card / f"{name}.dng" for name in ("dark", "untold", "none"))
    runs: list[list[object]] = [[dark, untold, none]]
    if command != "info":
        runs = [[untold, "--dry-run"], [dark, "-o", out], [dark, "-o", out, "--skip-existing"], [none]]
    if command == "enhance":
        runs += [[dark, "--format", "dng"], [dark, "--dry-run", "--wb", "auto"]]
    lines = [line for words in runs for line in told(command, *words)]
    assert {line["status"] for line in lines} == (
        {"ok", "failed"} if command == "info" else {"planned", "done", "skipped", "failed"}
    )
    given = {name for line in lines for name in line}
    assert not given - rows.keys()
    assert not {name for name in given if command not in rows[name][1] and rows[name][1] != "all"}
    assert not {
        name for line in lines for name, value in line.items() if value is None and rows[name][0] == "never"
    }
    missing = {name for name, (_, whose) in rows.items() if command in whose or whose == "all"} - given
    assert missing <= {"resumed", "node"}  # of runs over many files: test_workers, test_cluster
