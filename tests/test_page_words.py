"""The page reads the same words as Python in packets that are odd, broken or made to do harm."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from node_page import run
from scotopic.metadata.xmp import DECLARATIONS_MAX, Words, parse

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def packet(inside: str, attributes: str = "", declared: str = "") -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"{declared}><rdf:RDF xmlns:rdf="{RDF}">'
        '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{inside}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def title(text: str) -> bytes:
    return packet(f"<dc:title>{text}</dc:title>")


def page_reads(folder: Path, packets: list[bytes], **environment: str) -> list[tuple[Words, bool]]:
    path = folder / "packets"
    path.write_bytes(b"\n".join(map(base64.b64encode, packets)))

    def plain(value: Any) -> Any:
        return tuple(map(plain, value)) if isinstance(value, list) else value

    told = run("packets.mjs", path, **environment)
    return [(Words(**{k: plain(v) for k, v in one["words"].items()}), one["enhanced"]) for one in told]


RATINGS = {
    "4": 4,
    "4.5": 5,
    "3.5": 4,
    "2.5": 3,
    "-0.4": 0,
    "-0.5": 0,
    "-0.6": -1,
    "-1": -1,
    "+3": 3,
    ".6": 1,
    " 2 ": 2,
    "0x3": None,
    "1e0": None,
    "1_0": None,
    "5.1": None,
    "nan": None,
    "Infinity": None,
    "\u0663": None,
    "": None,
}


def test_a_rating_is_the_same_number_to_both(tmp_path):
    packets = [packet("", f'xmp:Rating="{rating}"') for rating in RATINGS]
    for read in (page_reads(tmp_path, packets), [parse(one) for one in packets]):
        assert dict(zip(RATINGS, (words.rating for words, _ in read), strict=True)) == RATINGS


TITLES = {
    "a\r\nb\rc\nd": "a\nb\nc\nd",
    "a&#13;&#10;b": "a\r\nb",
    "\u00a0Owl\ufeff": "Owl",
    "\x85Owl\u200b": "\x85Owl\u200b",
    "&#x4f;&#119;l &amp; &lt;mouse&gt;": "Owl & <mouse>",
    "&#x1F989;": "\U0001f989",
    "a<!-- not this -->b": "ab",
    "a<![CDATA[]]&amp;]]>b": "a]]&amp;b",
    "a &gt; ]]&gt;": "a > ]]>",
}

NO_XML = (
    "&#0;",
    "&#x1f;",
    "&#xD800;",
    "&#xFFFE;",
    "&#x110000;",
    "&#99999999999;",
    "&nbsp;",
    "&constructor;",
    "a & b",
)
NO_XML += ("&#X41;", "&#12a;", "]]>", "\x01", "\ufffe", "<b>x</b>&#0;", '<b a="<"/>', '<b a="1" a="2"/>')
NO_XML += ('<b xmlns:c=""/>', "<c:b/>", "<b>", "</b>")


def test_a_text_is_the_same_to_both(tmp_path):
    packets = [title(text) for text in TITLES]
    for read in (page_reads(tmp_path, packets), [parse(one) for one in packets]):
        assert dict(zip(TITLES, (words.title for words, _ in read), strict=True)) == TITLES


def test_what_is_no_xml_is_none_to_both(tmp_path):
    packets = [packet(f"<dc:title>x</dc:title><dc:subject>{text}</dc:subject>") for text in NO_XML]
    packets += [b"x" + title("a") + b"x", title("a").replace(b"xmpmeta", b"xapmeta") + b"x", b"", b"<"]
    for read in (page_reads(tmp_path, packets), [parse(one) for one in packets]):
        wrong = [one for one, found in zip(packets, read, strict=True) if found != (Words(), False)]
        assert wrong == [b"x" + title("a") + b"x"], "what stands around the packet is not of it"


def test_an_attribute_is_the_same_to_both(tmp_path):
    packets = [packet("", f'photoshop:City="{text}"') for text in ("a\r\nb", "a\tb", "a&#10;b", " a ")]
    for read in (page_reads(tmp_path, packets), [parse(one) for one in packets]):
        assert [words.city for words, _ in read] == ["a b", "a b", "a\nb", "a"]


@pytest.mark.parametrize("prefix", ["__proto__", "constructor", "toString"])
def test_no_prefix_is_known_that_was_not_declared(tmp_path, prefix):
    unknown = packet(f"<{prefix}:a/><dc:title>x</dc:title>")
    known = packet(f'<{prefix}:a xmlns:{prefix}="u"/><dc:title>x</dc:title>')
    assert [words.title for words, _ in page_reads(tmp_path, [unknown, known])] == ["", "x"]
    assert [parse(one)[0].title for one in (unknown, known)] == ["", "x"]


def test_thousands_of_prefixes_for_thousands_of_elements_take_little_memory(tmp_path):
    """Each element had a copy of all: 4000 for each of 40,000 were more than a browser has."""
    declared = "".join(f' xmlns:a{i}="u"' for i in range(4000))
    elements = "<a7:b/>" * 40_000 + '<c:b xmlns:c="u"/>' * 5000
    packets = [packet("<dc:title>Owl</dc:title>" + elements, declared=declared)]
    owl = [(Words(title="Owl"), False)]
    assert page_reads(tmp_path, packets, NODE_OPTIONS="--max-old-space-size=128") == owl
    assert [parse(one) for one in packets] == owl


def test_a_packet_of_nothing_but_declarations_has_no_words(tmp_path):
    own = title("x").count(b"xmlns")
    packets = [
        packet("<dc:title>x</dc:title>", declared="".join(f' xmlns:a{i}="u"' for i in range(count - own)))
        for count in (DECLARATIONS_MAX, DECLARATIONS_MAX + 1)
    ]
    for read in (page_reads(tmp_path, packets), [parse(one) for one in packets]):
        assert [words.title for words, _ in read] == ["x", ""]
