"""XMP packets: a photographer's own words read from any packet, and our small packet written.

Only what stays true of a developed picture is carried over. Editors' settings (`crs:`, `darktable:`) were
made for the undeveloped one and would be applied a second time; coordinates are left to the EXIF.
"""

from __future__ import annotations

import codecs
import html
import math
import mmap
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, assert_never
from xml.etree import ElementTree

from scotopic.disk.files import opened
from scotopic.metadata.exifplaces import BYTE_ORDERS, tag_bytes

XMP = 700
"""TIFF's and DNG's tag for a packet, of type BYTE."""

ENHANCED_MARK = "Enhanced"
"""The property, in NAMESPACE, that says a picture has been through scotopic's enhancement."""

NAMESPACE = "urn:scotopic:xmp:1.0/"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML = "http://www.w3.org/XML/1998/namespace"

_NAMESPACES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "scotopic": NAMESPACE,
}

_ENHANCED_BY_ALGORITHM = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""IPTC's standard word for a captured picture that an algorithm has corrected."""

LARGEST_PACKET = 1 << 22
"""Bytes of a packet, at most: larger ones are no photographer's words."""

DESCRIPTIONS_MAX = 1000
"""Descriptions in a packet, at most; programs write one for each namespace."""

DECLARATIONS_MAX = 10_000
"""Declarations of namespaces in a packet, at most; programs write a dozen."""

_SPACES = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What is no word at a text's ends, as ECMAScript has it: Python's own `strip` leaves marks of the byte order there."""

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


@dataclass(frozen=True)
class Words:
    """What a photographer wrote about a picture; None or empty where nothing was written."""

    rating: int | None = None
    """-1 (rejected) to 5."""
    label: str = ""
    title: str = ""
    description: str = ""
    subjects: tuple[str, ...] = ()
    """Keywords."""
    rights: str = ""
    creators: tuple[str, ...] = ()
    keyword_trees: tuple[str, ...] = ()
    """Lightroom's hierarchical keywords, such as places|Cologne."""
    persons: tuple[str, ...] = ()
    """Names of the persons in the picture."""
    marked: str = ""
    """True for rights reserved, False for the public domain."""
    owners: tuple[str, ...] = ()
    usage_terms: str = ""
    web_statement: str = ""
    credit: str = ""
    source: str = ""
    instructions: str = ""
    headline: str = ""
    authors_position: str = ""
    caption_writer: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    contact: tuple[tuple[str, str], ...] = ()
    """How the creator can be reached: IPTC's names, such as CiEmailWork, each with its text."""

    def over(self, other: Words) -> Words:
        """These words, and the other's where these are silent."""
        return replace(other, **self.spoken())

    def spoken(self) -> dict[str, Any]:
        """The fields in which something was written."""
        silent = Words()
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != getattr(silent, f.name)
        }

    def without_place(self) -> Words:
        """These words without the place that the picture shows."""
        return replace(self, city="", state="", country="")


Form = Literal["text", "alt", "bag", "seq", "structure"]
"""A simple value, a text in languages, a set, a list, named texts."""


@dataclass(frozen=True)
class Property:
    """How a field of `Words` is called and written in XMP."""

    prefix: str
    name: str
    form: Form = "text"


PROPERTIES = {
    "label": Property("xmp", "Label"),
    "title": Property("dc", "title", "alt"),
    "description": Property("dc", "description", "alt"),
    "subjects": Property("dc", "subject", "bag"),
    "rights": Property("dc", "rights", "alt"),
    "creators": Property("dc", "creator", "seq"),
    "keyword_trees": Property("lr", "hierarchicalSubject", "bag"),
    "persons": Property("Iptc4xmpExt", "PersonInImage", "bag"),
    "marked": Property("xmpRights", "Marked"),
    "owners": Property("xmpRights", "Owner", "bag"),
    "usage_terms": Property("xmpRights", "UsageTerms", "alt"),
    "web_statement": Property("xmpRights", "WebStatement"),
    "credit": Property("photoshop", "Credit"),
    "source": Property("photoshop", "Source"),
    "instructions": Property("photoshop", "Instructions"),
    "headline": Property("photoshop", "Headline"),
    "authors_position": Property("photoshop", "AuthorsPosition"),
    "caption_writer": Property("photoshop", "CaptionWriter"),
    "city": Property("photoshop", "City"),
    "state": Property("photoshop", "State"),
    "country": Property("photoshop", "Country"),
    "contact": Property("Iptc4xmpCore", "CreatorContactInfo", "structure"),
}
"""All that is carried, by the field of `Words`; the rating besides, which is a number."""

PART = re.compile("Ci[A-Za-z]{1,30}")
"""Names in the contact: XML's own letters only, as they are written out again."""


def parse(packet: bytes) -> tuple[Words, bool]:
    """The words in a packet, and whether it carries our mark; empty and False for what is no XMP.

    >>> parse(build(Words(rating=4, subjects=("night", "café")), enhanced=True))[0].subjects
    ('night', 'café')
    """
    if len(packet) > LARGEST_PACKET:
        return Words(), False
    packet = _in_utf8(packet)
    # No packet needs a DOCTYPE; its entities are a way to do harm. In other encodings its letters may stand apart.
    letters = packet.replace(b"\0", b"")
    if b"<!DOCTYPE" in letters or b"<!ENTITY" in letters or letters.count(b"xmlns") > DECLARATIONS_MAX:
        return Words(), False
    start, stop = packet.find(_PACKET_OPENS), packet.rfind(_PACKET_CLOSES)
    body = packet[start : stop + len(_PACKET_CLOSES)] if 0 <= start < stop else packet.strip(b"\0 \r\n\t")
    try:
        tree = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError):
        return Words(), False
    words, enhanced = Words(), False
    for description in _descriptions(tree):
        found = {field: _VALUE_OF[p.form](description, p) for field, p in PROPERTIES.items()}
        rating = _rating(_simple(description, Property("xmp", "Rating")))
        words = words.over(Words(rating=rating, **found))
        mark = _simple(description, Property("scotopic", ENHANCED_MARK))
        enhanced = enhanced or mark.lower() == "true"
    return words, enhanced


def _descriptions(tree: ElementTree.Element) -> list[ElementTree.Element]:
    """What is said of the photo: those within others are of parts and of former states."""
    packets = [element for element in (tree, *tree) if element.tag == f"{{{_RDF}}}RDF"]
    found = (packet.findall(f"{{{_RDF}}}Description") for packet in packets[:1])
    return [description for each in found for description in each[:DESCRIPTIONS_MAX]]


_PACKET_OPENS, _PACKET_CLOSES = b"<x:xmpmeta", b"</x:xmpmeta>"

_BEGINNINGS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
"""How a packet begins that says its encoding, the longer first: a mark of the byte order, or its first letter."""

_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]*\?>")


def _in_utf8(packet: bytes) -> bytes:
    """A packet in UTF-8, without a declaration that says otherwise; what cannot be read is left as it is."""
    encoding = next((name for begin, name in _BEGINNINGS.items() if packet.startswith(begin)), None)
    if encoding is None:
        return packet
    text = packet.decode(encoding, "ignore").removeprefix("\ufeff")
    return _DECLARATION.sub("", text).encode("utf-8", "ignore")


def build(words: Words, *, enhanced: bool, tool: str = "scotopic", at_most: int | None = None) -> bytes:
    """A packet, UTF-8, with the words, what made the picture, and the mark if `enhanced`.

    Of words that do not fit into `at_most` bytes the longest stay out; the rating stays.
    """
    attributes = {"xmp:CreatorTool": tool}
    if words.rating is not None:
        attributes["xmp:Rating"] = str(words.rating)
    if enhanced:
        attributes[f"scotopic:{ENHANCED_MARK}"] = "True"
        attributes["Iptc4xmpExt:DigitalSourceType"] = _ENHANCED_BY_ALGORITHM
    written = {
        field: text for field, p in PROPERTIES.items() if (text := _written(p, getattr(words, field)))
    }
    while True:
        packet = _packet(attributes, "".join(written.values()), tool)
        if at_most is None or len(packet) <= at_most or not written:
            return packet
        del written[max(written, key=lambda field: len(written[field].encode()))]


def _packet(attributes: dict[str, str], inner: str, tool: str) -> bytes:
    spaces = "".join(f"\n    xmlns:{prefix}={_quoted(space)}" for prefix, space in _NAMESPACES.items())
    given = "".join(f"\n    {name}={_quoted(_clean(value))}" for name, value in attributes.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk={_quoted(tool)}>\n'
        f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
        f'  <rdf:Description rdf:about=""{spaces}{given}>\n{inner}'
        "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


SEARCHED = 1 << 26
"""Bytes of a file that is no TIFF in which its XMP packet may begin: ours stand before the pixels. A copy whose place
was reserved may be gigabytes of nothing."""


def packet_of(path: Path) -> bytes:
    """The XMP packet of a file: TIFF's tag 700, or the first that stands in any other file; or nothing."""
    with opened(path) as file:
        head = file.read(8)
        if head[:2] in BYTE_ORDERS and len(head) == 8:
            return tag_bytes(file, XMP, LARGEST_PACKET)
        if not head:
            return b""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_PACKET_OPENS, 0, SEARCHED)
            stop = content.find(_PACKET_CLOSES, start, start + LARGEST_PACKET) if start >= 0 else -1
            return bytes(content[start : stop + len(_PACKET_CLOSES)]) if stop >= 0 else b""


def _simple(description: ElementTree.Element, wanted: Property) -> str:
    """A simple property, written as an attribute or as an element."""
    name = _named(wanted)
    value = description.get(name)
    if value is None:
        value = description.findtext(name)
    return (value or "").strip(_SPACES)


def _items(description: ElementTree.Element, wanted: Property) -> tuple[str, ...]:
    """The items of a property that has several; the default language first."""
    element = description.find(_named(wanted))
    if element is None:
        plain = _simple(description, wanted)
        return (plain,) if plain else ()
    items = list(element.iter(f"{{{_RDF}}}li"))
    items.sort(key=lambda item: item.get(f"{{{_XML}}}lang", "x-default") != "x-default")
    texts = (
        [(item.text or "").strip(_SPACES) for item in items]
        if items
        else [(element.text or "").strip(_SPACES)]
    )
    return tuple(text for text in texts if text)


def _first(description: ElementTree.Element, wanted: Property) -> str:
    return next(iter(_items(description, wanted)), "")


def _parts(description: ElementTree.Element, wanted: Property) -> tuple[tuple[str, str], ...]:
    """The named texts of a structure, written as attributes or elements, in it or in a description in it."""
    element = description.find(_named(wanted))
    space = f"{{{_NAMESPACES[wanted.prefix]}}}"
    found: dict[str, str] = {}
    for holder in () if element is None else (element, *element.findall(f"{{{_RDF}}}Description")):
        for name, text in (*holder.items(), *((child.tag, child.text) for child in holder)):
            part = name.removeprefix(space) if isinstance(name, str) and name.startswith(space) else ""
            if PART.fullmatch(part) and (text := (text or "").strip(_SPACES)):
                found.setdefault(part, text)
    return tuple(found.items())


_VALUE_OF: dict[Form, Any] = {
    "text": _simple,
    "alt": _first,
    "bag": _items,
    "seq": _items,
    "structure": _parts,
}


def _named(wanted: Property) -> str:
    return f"{{{_NAMESPACES[wanted.prefix]}}}{wanted.name}"


def _rating(text: str) -> int | None:
    value = float(text) if re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+", text) else math.nan
    # Halves go up, in the page's reader too.
    return math.floor(value + 0.5) if -1 <= value <= 5 else None


def _written(wanted: Property, value: Any) -> str:
    """A property as an element; nothing where nothing was said."""
    if not value:
        return ""
    match wanted.form:
        case "text":
            inner = _escaped(value)
        case "structure":
            parts = ((name, _escaped(text)) for name, text in value)
            inner = "".join(
                f"<{wanted.prefix}:{name}>{text}</{wanted.prefix}:{name}>" for name, text in parts
            )
        case "alt" | "bag" | "seq" as form:
            language = ' xml:lang="x-default"' if form == "alt" else ""
            items = (value,) if isinstance(value, str) else value
            inner = "".join(f"<rdf:li{language}>{_escaped(item)}</rdf:li>" for item in items if item)
            inner = f"<rdf:{form.capitalize()}>{inner}</rdf:{form.capitalize()}>"
        case _:
            assert_never(wanted.form)
    opened_by = f"{wanted.prefix}:{wanted.name}"
    resource = ' rdf:parseType="Resource"' if wanted.form == "structure" else ""
    return f"   <{opened_by}{resource}>{inner}</{opened_by}>\n"


def _escaped(text: str) -> str:
    return html.escape(_clean(text), quote=False)


def _quoted(text: str) -> str:
    """An attribute's value. `xml.sax.saxutils` would bring the whole of `urllib` and `email` with it."""
    escaped = html.escape(text)
    for character in "\t\n\r":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return f'"{escaped}"'


def _clean(text: str) -> str:
    return _NO_XML.sub("", text)
