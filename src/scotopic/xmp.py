"""XMP packets: a photographer's own words read from any packet, and our small packet written.

Only what stays true of a developed picture is carried over. Editors' settings (`crs:`, `darktable:`) were
made for the undeveloped one and would be applied a second time; places are left to the EXIF.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from xml.etree import ElementTree

from scotopic.files import opened

ENHANCED_MARK = "Enhanced"
"""The property, in NAMESPACE, that says a picture has been through scotopic's enhancement."""

NAMESPACE = "urn:scotopic:xmp:1.0/"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_DC = "http://purl.org/dc/elements/1.1/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XML = "http://www.w3.org/XML/1998/namespace"

_ENHANCED_BY_ALGORITHM = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""IPTC's standard word for a captured picture that an algorithm has corrected."""

LARGEST_PACKET = 1 << 22
"""Packets beyond this are no photographer's words."""

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

    def over(self, other: Words) -> Words:
        """These words, and the other's where these are silent."""
        silent = Words()
        spoken = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != getattr(silent, f.name)
        }
        return replace(other, **spoken)


def parse(packet: bytes) -> tuple[Words, bool]:
    """The words in a packet, and whether it carries our mark; empty and False for what is no XMP.

    >>> parse(build(Words(rating=4, subjects=("night", "café")), enhanced=True))[0].subjects
    ('night', 'café')
    """
    # No packet needs a DOCTYPE; its entities are a way to do harm. In UTF-16 its letters stand apart.
    letters = packet.replace(b"\0", b"")
    if len(packet) > LARGEST_PACKET or b"<!DOCTYPE" in letters or b"<!ENTITY" in letters:
        return Words(), False
    start, stop = packet.find(b"<x:xmpmeta"), packet.rfind(b"</x:xmpmeta>")
    body = packet[start : stop + len(b"</x:xmpmeta>")] if 0 <= start < stop else packet.strip(b"\0 \r\n\t")
    try:
        tree = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError):
        return Words(), False
    words, enhanced = Words(), False
    for description in tree.iter(f"{{{_RDF}}}Description"):
        rating = _rating(_property(description, _XMP, "Rating"))
        found = Words(
            rating=rating,
            label=_property(description, _XMP, "Label"),
            title=_first(_items(description, "title")),
            description=_first(_items(description, "description")),
            subjects=_items(description, "subject"),
            rights=_first(_items(description, "rights")),
            creators=_items(description, "creator"),
        )
        words = words.over(found)
        enhanced = enhanced or _property(description, NAMESPACE, ENHANCED_MARK).lower() == "true"
    return words, enhanced


def build(words: Words, *, enhanced: bool, tool: str = "scotopic") -> bytes:
    """A packet, UTF-8, with the words, what made the picture, and the mark if `enhanced`."""
    attributes = {"xmp:CreatorTool": tool}
    if words.rating is not None:
        attributes["xmp:Rating"] = str(words.rating)
    if words.label:
        attributes["xmp:Label"] = words.label
    if enhanced:
        attributes[f"scotopic:{ENHANCED_MARK}"] = "True"
        attributes["Iptc4xmpExt:DigitalSourceType"] = _ENHANCED_BY_ALGORITHM
    lists = [
        ("title", "Alt", (words.title,)),
        ("description", "Alt", (words.description,)),
        ("subject", "Bag", words.subjects),
        ("rights", "Alt", (words.rights,)),
        ("creator", "Seq", words.creators),
    ]
    inner = "".join(_list(name, kind, values) for name, kind, values in lists if any(values))
    written = "".join(f"\n    {name}={_quoted(_clean(value))}" for name, value in attributes.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk={_quoted(tool)}>\n'
        f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
        f'  <rdf:Description rdf:about="" xmlns:xmp="{_XMP}" xmlns:dc="{_DC}"\n'
        f'    xmlns:Iptc4xmpExt="{_IPTC}" xmlns:scotopic="{NAMESPACE}"{written}>\n{inner}'
        "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


def sidecar(path: Path) -> Words:
    """The words in the files that editors put beside `path`: IMG_1.ARW.xmp before IMG_1.xmp."""
    words = Words()
    for name in sidecar_names(path):
        try:
            with opened(path.with_name(name)) as file:
                packet = file.read()
        except (OSError, ValueError):
            continue
        words = words.over(parse(packet)[0])
    return words


def sidecar_names(path: Path) -> tuple[str, ...]:
    """How the files that editors put beside `path` may be called, the more telling first."""
    return (f"{path.name}.xmp", f"{path.name}.XMP", f"{path.stem}.xmp", f"{path.stem}.XMP")


def _property(description: ElementTree.Element, namespace: str, name: str) -> str:
    """A simple property, written as an attribute or as an element."""
    value = description.get(f"{{{namespace}}}{name}")
    if value is None:
        value = description.findtext(f"{{{namespace}}}{name}")
    return (value or "").strip()


def _items(description: ElementTree.Element, name: str) -> tuple[str, ...]:
    """A Dublin Core property's items; the default language first."""
    element = description.find(f"{{{_DC}}}{name}")
    if element is None:
        plain = _property(description, _DC, name)
        return (plain,) if plain else ()
    items = list(element.iter(f"{{{_RDF}}}li"))
    items.sort(key=lambda item: item.get(f"{{{_XML}}}lang", "x-default") != "x-default")
    texts = [(item.text or "").strip() for item in items] if items else [(element.text or "").strip()]
    return tuple(text for text in texts if text)


def _first(values: tuple[str, ...]) -> str:
    return values[0] if values else ""


def _rating(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return round(value) if -1 <= value <= 5 else None


def _list(name: str, kind: str, values: tuple[str, ...]) -> str:
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    words = (html.escape(_clean(value), quote=False) for value in values if value)
    items = "".join(f"<rdf:li{language}>{word}</rdf:li>" for word in words)
    return f"   <dc:{name}><rdf:{kind}>{items}</rdf:{kind}></dc:{name}>\n"


def _quoted(text: str) -> str:
    """An attribute's value. `xml.sax.saxutils` would bring the whole of `urllib` and `email` with it."""
    escaped = html.escape(text)
    for character in "\t\n\r":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return f'"{escaped}"'


def _clean(text: str) -> str:
    return _NO_XML.sub("", text)
