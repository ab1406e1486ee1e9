"""The table `pairs.csv` as people and their spreadsheets write it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from difflib import get_close_matches
from io import StringIO
from itertools import zip_longest
from pathlib import Path

from scotopic.errors import DatasetError

PARTS = ("short", "long")
"""The columns that a table of pairs must have, and the folders where there is none."""

MORE = ("ratio", "scene", "split")
"""Columns that a table of pairs may have besides. Others are notes of its owner's."""

ALIKE = 0.76
"""Likeness of two words (difflib) from which on one is the other misspelt: Splits, ratoi and Szene are; rating and
ratio (0.73) are two."""

UNNAMED = ""
"""The column of cells that stand under no name."""


def rows_of(table: Path) -> list[tuple[int, dict[str, str]]]:
    """The table's lines that hold anything, each with its number; columns in lower case, no spaces around words.

    Raises DatasetError for what is no table with the columns short and long, and for a column that is given twice or
    seems to be one of ours misspelt.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
        separator = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.reader(StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as CSV ({error})") from error
    columns = [name.lower() for name in lines[0][1]] if lines else []
    if fault := _fault(columns):
        raise DatasetError(f"{table}: {fault}")
    filled = [(number, _named(columns, cells)) for number, cells in lines[1:] if any(cells)]
    if not filled:
        raise DatasetError(
            f"{table}: needs rows below its first line, the columns short and long filled in"
        )
    return filled


def _fault(columns: Sequence[str]) -> str:
    """What is wrong with the names of the columns, in words; nothing if they will do."""
    if not set(PARTS) <= set(columns):
        return f"needs a first line with the columns short and long, and has {', '.join(columns) or 'none'}"
    if twice := [name for name in (*PARTS, *MORE) if columns.count(name) > 1]:
        return f"has the column {twice[0]} twice: keep one of them"
    missing = [name for name in MORE if name not in columns]
    for name in columns:
        if name not in (*PARTS, *MORE) and (meant := get_close_matches(name, missing, 1, ALIKE)):
            return (
                f"its column {name!r} seems to be meant for {meant[0]!r}: write it so, or give it quite another name "
                f"if it holds notes of yours (known are {', '.join((*PARTS, *MORE))})"
            )
    return ""


def _named(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """A line's cells by their columns, those under no name in UNNAMED."""
    row = dict.fromkeys(columns, "")
    for name, cell in zip_longest(columns, cells, fillvalue=""):
        if name or cell:
            row[name] = cell if name else f"{row.get(UNNAMED, '')} {cell}".strip()
    return row
