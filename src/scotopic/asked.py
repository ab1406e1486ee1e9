"""What users ask for, of the command line and of the API: formats by any of their names, and what is wrong with a
value, in words of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scotopic.formats.table import ENDINGS


def kind_named(words: Any) -> Any:
    """A format by any ending of its files, in any case; what is none is given back.

    >>> kind_named("JPEG"), kind_named("tif"), kind_named("gif")
    ('jpg', 'tiff', 'gif')
    """
    return ENDINGS.get(f".{words.lower()}", words) if isinstance(words, str) else words


def wrong(found: Mapping[str, Any]) -> str:
    """What pydantic has against a value, as one of its `errors()` says: what came, and what is needed.

    >>> wrong({"type": "less_than_equal", "input": "nan", "ctx": {"le": 1.0}})
    'a number of at most 1 is needed, not nan'
    """
    came, known = found["input"], found.get("ctx", {})
    match found["type"]:
        case "greater_than_equal":
            return f"a number of at least {known['ge']:g} is needed, not {came}"
        case "less_than_equal":
            return f"a number of at most {known['le']:g} is needed, not {came}"
        case "int_parsing" | "int_from_float":
            return f"a whole number is needed, not {came!r}"
        case "float_parsing" | "finite_number":
            return f"a number is needed, not {came!r}"
        case "bool_parsing":
            return f"true or false is needed, not {came!r}"
        case "literal_error":
            return f"{came!r} is not one of {known['expected']}"
        case "string_too_short":
            return "is empty"
        case "string_too_long":
            return f"at most {known['max_length']} characters are taken, not {len(came)}"
        case "value_error":
            # Of a list's member it is pydantic's own once more.
            inner = known["error"]
            return wrong(inner.errors()[0]) if hasattr(inner, "errors") else str(inner)
        case _:
            return str(found["msg"])
