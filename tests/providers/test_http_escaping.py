"""No value can end the place in which it stands: in a URL, a form, a JSON string, XML or a header."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.domain.message import OutboundMessage
from otp_service.providers.http.config import HttpConfig
from otp_service.providers.http.request_template import NotRenderable
from otp_service.providers.http.wire import GatewayRequest, build_request
from tests.providers.http_gateways import MESSAGE, RecordingGateway, http_provider, load_http, reply

HOSTILE = [
    '", "to": "+1", "x": "',
    "\\",
    '\\"',
    "&to=+15005550006&x=",
    "a=b;c#d?e/../f%26%00",
    "{to}{code}{secret}{text}",
    "line\r\nX-Injected: 1\r\n\r\nGET / HTTP/1.1",
    "</text><to>+15005550006</to><text>",
    "]]>&amp;&#60;<!--\"'",
    "\u2028\u202e\u00e9\u4e2d\U0001f600",
    "..",
    "+ %2B %",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ANY_TEXTS = st.text(max_size=50)
TABLES: dict[str, dict[str, Any]] = {
    "json": {"body": '{"to": "{to}", "a": ["{text}", {"b": "{brand}-{code}"}], "secret": "{secret}"}'},
    "form": {"body": "to={to}&text={text}&brand={brand}&secret={secret}"},
    "xml": {"body": "<m to=\"{to}{brand}\" brand='{brand}'><text>{text}</text><secret>{secret}</secret></m>"},
    "query": {"method": "GET", "query": {"to": "{to}", "te&xt": "{text}", "brand": "{brand}", "secret": "{secret}"}},
    "path": {"method": "GET", "url": "https://sms.example.com/send/{text}/{to}"},
    "text": {"body": "{to} {text}", "body_format": "text"},
    "header": {"body": "to={to}&text={text}", "headers": {"X-Text": "<{text}>"}},
}
BASE = {"type": "http", "url": "https://sms.example.com/send?a=1", "secrets": {"secret": 's&e"c<r>et'}}


@cache
def config(place: str) -> HttpConfig:
    """Load the provider whose template has the text in this place."""
    return load_http({**BASE, **TABLES[place]})


def message(text: str, brand: str = "Acme") -> OutboundMessage:
    """Return a message with this text and brand."""
    return OutboundMessage("m-1", "+6281210100055", "ID", "81210100055", text, "739251", 300, brand=brand)


def request(place: str, text: str, brand: str = "Acme") -> GatewayRequest:
    """Build the request for a message."""
    return build_request(config(place), message(text, brand))


def read_json(built: GatewayRequest) -> dict[str, str]:
    """Read the JSON body as a gateway does."""
    document = json.loads(built.content or b"")
    assert list(document) == ["to", "a", "secret"]
    [text, other] = document["a"]
    brand, _, code = other["b"].rpartition("-")
    assert code == "739251"
    return {"to": document["to"], "text": text, "brand": brand, "secret": document["secret"]}


def read_form(built: GatewayRequest) -> dict[str, str]:
    """Read the form as a gateway does."""
    fields = parse_qsl((built.content or b"").decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert [name for name, _ in fields] == ["to", "text", "brand", "secret"]
    return dict(fields)


def read_query(built: GatewayRequest) -> dict[str, str]:
    """Read the query as a gateway does."""
    parts = urlsplit(built.url)
    assert (parts.netloc, parts.path, parts.fragment) == ("sms.example.com", "/send", "")
    fields = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    assert [name for name, _ in fields] == ["a", "to", "te&xt", "brand", "secret"]
    return {"text" if name == "te&xt" else name: value for name, value in fields if name != "a"}


def read_xml(built: GatewayRequest) -> dict[str, str]:
    """Read the XML as a gateway does."""
    root = Xml.fromstring(built.content or b"")  # noqa: S314 - it is our own request
    assert (root.tag, sorted(root.attrib), [child.tag for child in root]) == ("m", ["brand", "to"], ["text", "secret"])
    text, secret = (child.text or "" for child in root)
    to, brand = root.attrib["to"], root.attrib["brand"]
    assert to.endswith(brand)
    return {"to": to.removesuffix(brand), "text": text, "brand": brand, "secret": secret}


READERS: dict[str, Callable[[GatewayRequest], dict[str, str]]] = {
    "json": read_json,
    "form": read_form,
    "query": read_query,
}
"""The places where any text can be written, and how a gateway reads them."""


def expected(text: str, brand: str) -> dict[str, str]:
    """Return what a gateway must read."""
    return {"to": "+6281210100055", "text": text, "brand": brand, "secret": 's&e"c<r>et'}


@pytest.mark.parametrize("place", READERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_in_their_place(place: str, text: str) -> None:
    """A text and a brand that look like markup, like another field or like a placeholder arrive unchanged."""
    assert READERS[place](request(place, text, brand=text)) == expected(text, text)


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\0" not in text])
def test_hostile_texts_stay_in_xml(text: str) -> None:
    """In elements and in attributes of both quotation marks, with their line ends."""
    assert read_xml(request("xml", text, brand=text)) == expected(text, text)


@pytest.mark.parametrize("place", READERS)
@given(text=TEXTS, brand=TEXTS)
def test_any_text_arrives_unchanged(place: str, text: str, brand: str) -> None:
    """Whatever the text and the brand are, the gateway reads the same fields with exactly these values."""
    assert READERS[place](request(place, text, brand)) == expected(text, brand)


@given(text=TEXTS)
def test_any_text_in_xml_arrives_unchanged_or_is_refused(text: str) -> None:
    """XML 1.0 cannot express some control characters; a text with one is not sent."""
    try:
        built = request("xml", text)
    except NotRenderable:
        assert any(ord(char) < 32 or char in "\ufffe\uffff" for char in text)
        return
    assert read_xml(built) == expected(text, "Acme")


@given(text=TEXTS)
def test_any_text_is_one_segment_of_a_path(text: str) -> None:
    """In a path a text is one segment; a dot segment, which would lead to another path, is refused."""
    try:
        built = request("path", text)
    except NotRenderable:
        assert text in (".", "..")
        return
    assert built.url.isascii()
    path = built.url.removeprefix("https://sms.example.com/send/").removesuffix("/%2B6281210100055")
    assert "/" not in path and "?" not in path and "#" not in path
    assert unquote(path, errors="strict") == text


@pytest.mark.parametrize("text", [".", ".."])
def test_a_dot_segment_is_refused(text: str) -> None:
    """A client or a server would remove it, and the segment before it, from the path (RFC 3986, 5.2.4)."""
    with pytest.raises(NotRenderable):
        request("path", text)


@given(text=ANY_TEXTS)
def test_a_header_is_one_line_of_ascii(text: str) -> None:
    """A header has the text unchanged, or the message is not sent."""
    try:
        built = request("header", text)
    except NotRenderable:
        assert any(not " " <= char <= "~" for char in text)
        return
    assert built.headers["X-Text"] == f"<{text}>"


@pytest.mark.parametrize("place", TABLES)
def test_half_a_character_is_refused(place: str) -> None:
    """A lone surrogate has no encoding, so the message is not sent."""
    with pytest.raises(NotRenderable):
        request(place, "\ud800")


@pytest.mark.parametrize("text", ["a\r\nX-Injected: 1", "a\nb", "a\0b", "caf\u00e9", "a\x7f"])
async def test_a_text_that_a_header_cannot_hold_is_not_sent(text: str) -> None:
    """The outcome is `content_rejected`, so that another provider is called, and no request is made."""
    async with RecordingGateway() as gateway:
        table = {**BASE, **TABLES["header"], "base_url": gateway.url}
        async with http_provider(table) as provider:
            assert (await provider.send(message(text))).outcome == "content_rejected"
    assert gateway.requests == []


async def test_the_bytes_of_a_url() -> None:
    """Values are percent-encoded on the wire, the literal parts stay as they are written, and no header is added."""
    async with RecordingGateway(reply({"id": 7})) as gateway:
        url = "https://user.example.com/api/{secret}/send?from={sender}&to={to}&text={text}&keep=%41+b"
        table: dict[str, Any] = {"type": "http", "method": "get", "url": url, "base_url": gateway.url + "/v2"}
        table |= {"sender": "A c", "secrets": {"secret": "p/q"}, "message_id": "/id"}
        async with http_provider(table) as provider:
            assert (await provider.send(MESSAGE)).provider_message_id == "7"
    [sent] = gateway.requests
    text = "Kopi%20%26%20%22Caf%C3%A9%22%20%3Cb%3E%3A%20kode%20739251%0A%2B%20100%25%20%E2%9C%93"
    assert sent.target == f"/v2/api/p%2Fq/send?from=A%20c&to=%2B6281210100055&text={text}&keep=%41+b"
    assert (sent.method, sent.body) == ("GET", b"")
    assert {"authorization", "content-type"}.isdisjoint(sent.headers)


async def test_a_plain_body_is_the_text() -> None:
    """In a body of format `text` nothing is escaped."""
    async with RecordingGateway() as gateway:
        table = {"type": "http", "url": "/{to}", "base_url": gateway.url, "body": "{text}", "body_format": "text"}
        async with http_provider(table) as provider:
            await provider.send(MESSAGE)
    [sent] = gateway.requests
    assert sent.body.decode() == MESSAGE.text
    assert (sent.target, sent.headers["content-type"]) == ("/%2B6281210100055", "text/plain; charset=utf-8")


def test_xml_references_are_readable() -> None:
    """Line ends are written as references, because a parser would change them."""
    assert b"a&#13;&#10;b&#9;&#38;" in (request("xml", "a\r\nb\t&").content or b"")
