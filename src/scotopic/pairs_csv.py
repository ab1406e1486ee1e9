"""The table `pairs.csv` as people and their spreadsheets write it."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

from scotopic.errors import DatasetError

PARTS = ("short", "long")
"""The columns that a table of pairs must have, and the folders where there is none."""


def rows_of(table: Path) -> list[tuple[int, dict[str, str]]]:
    """The table's lines that hold anything, each with its number; columns in lower case, no spaces around words.

    Raises DatasetError for what is no table with the columns short and long.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
        separator = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.DictReader(StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as CSV ({error})") from error
    if not set(PARTS) <= set(columns):
        raise DatasetError(
            f"{table}: needs a first line with the columns short and long, and has {', '.join(columns) or 'none'}"
        )
    cleaned = [(line, {name: (row[name] or "").strip() for name in columns}) for line, row in rows]
    filled = [(line, row) for line, row in cleaned if any(row.values())]
    if not filled:
        raise DatasetError(
            f"{table}: needs rows below its first line, the columns short and long filled in"
        )
    return filled
