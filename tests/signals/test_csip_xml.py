"""XML from strangers: what is sound is read whatever its prefixes, what is not is refused at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.csip_xml import MOST_BYTES, MOST_DEPTH, NAMESPACE, XmlError, aus_namespace, document, parse, parse_as

HEAD = f'xmlns="{NAMESPACE}"'


def test_prefixes_do_not_matter() -> None:
    plain = parse(f'<Time {HEAD} href="/tm"><quality> 7 </quality></Time>'.encode())
    prefixed = parse(f'<s:Time xmlns:s="{NAMESPACE}" href="/tm"><s:quality>7</s:quality></s:Time>'.encode())
    for node in (plain, prefixed):
        assert node.tag == "Time"
        assert node.attributes["href"] == "/tm"
        assert node.children[0].tag == "quality"
        assert node.children[0].text == "7"


@pytest.mark.parametrize("space", ["https://csipaus.org/ns", "https://csipaus.org/ns/v1.1-beta", "https://csipaus.org/ns/v1.3"])
def test_every_version_of_the_australian_extension_is_known(space: str) -> None:
    body = f'<DERControlBase {HEAD} xmlns:a="{space}"><a:opModExpLimW/></DERControlBase>'.encode()
    assert parse(body).children[0].tag == "aus:opModExpLimW"
    assert aus_namespace(body) == space


def test_names_of_others_keep_their_namespace() -> None:
    assert parse(f'<A {HEAD} xmlns:x="urn:x"><x:opModExpLimW/></A>'.encode()).children[0].tag == "urn:x|opModExpLimW"
    assert aus_namespace(b"<A/>") is None


BOMB = "".join(f'<!ENTITY l{n} "&l{n - 1};&l{n - 1};">' for n in range(1, 30))
REFUSED = {
    "nothing": b"",
    "no xml": b"limit: 5000",
    "cut off": f"<Time {HEAD}><quality>7".encode(),
    "two roots": f"<A {HEAD}/><A {HEAD}/>".encode(),
    "a billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "ha">{BOMB}]><Time {HEAD}>&l29;</Time>'.encode(),
    "an outside entity": f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Time {HEAD}>&x;</Time>'.encode(),
    "a document type": f"<!DOCTYPE Time><Time {HEAD}/>".encode(),
    "an unknown entity": f"<Time {HEAD}>&nbsp;</Time>".encode(),
    "too deep": (f"<A {HEAD}>" + "<A>" * MOST_DEPTH + "</A>" * MOST_DEPTH + "</A>").encode(),
    "too many": (f"<A {HEAD}>" + "<b/>" * 40_001 + "</A>").encode(),
    "too long": (f"<A {HEAD}>" + " " * MOST_BYTES + "</A>").encode(),
    "a long text": (f"<A {HEAD}>" + "x" * 20_000 + "</A>").encode(),
    "another namespace": b'<Time xmlns="urn:other"/>',
    "no namespace": b"<Time/>",
    "the edition of 2013": b'<Time xmlns="http://zigbee.org/sep"/>',
    "an unknown encoding": b'<?xml version="1.0" encoding="klingon"?><Time/>',
    "html": b"<html><body><br>Sign in</body></html>",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_sound_document_is_refused(body: bytes) -> None:
    with pytest.raises(XmlError):
        parse(body)


def test_the_older_edition_is_named() -> None:
    with pytest.raises(XmlError, match="older edition"):
        parse(REFUSED["the edition of 2013"])


def test_another_resource_than_asked_for_is_refused() -> None:
    with pytest.raises(XmlError, match="sent a Time where DERControlList"):
        parse_as(f"<Time {HEAD}/>".encode(), "DERControlList")


@given(st.binary(max_size=300))
def test_noise_raises_nothing_but_xml_error(noise: bytes) -> None:
    for body in (noise, f"<Time {HEAD}>".encode() + noise + b"</Time>"):
        try:
            parse(body)
        except XmlError:
            continue


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=40))
def test_written_words_come_back(words: str) -> None:
    node = parse(document("A", (("b", words), ("none", None), ("c", (("d", 5),)))))
    assert [child.tag for child in node.children] == ["b", "c"]
    assert node.children[0].text == words.strip()
    assert node.children[1].children[0].text == "5"


def test_australian_elements_are_written_only_to_servers_that_know_them() -> None:
    parts = (("a", 1), ("aus:b", 2))
    assert [child.tag for child in parse(document("A", parts)).children] == ["a"]
    assert [child.tag for child in parse(document("A", parts, "https://csipaus.org/ns")).children] == ["a", "aus:b"]
