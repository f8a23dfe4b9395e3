"""What the client for gateways puts on the wire: the request that httpx's own client would send, without its state."""

from __future__ import annotations

import gzip

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from otp_service.providers.http_client import GatewayClient, GatewayResponse, new_request
from tests.providers.scripted_http_server import Server, raw

ORIGINS = st.sampled_from(["http://gateway.example", "https://gateway.example:8443", "http://127.0.0.1:20003"])
PLAIN_TARGETS = st.from_regex(r"/([A-Za-z0-9_~/?&=+:,;.-]|%[0-9A-F]{2}){0,60}", fullmatch=True)
ANY_TARGETS = st.text(st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\x7f"), max_size=60).map(
    "/{}".format
)
"""Without control characters, which httpx refuses in a URL, and so does the configuration."""


def on_the_wire(request: httpx.Request) -> tuple[str, bytes, list[tuple[bytes, bytes]], bytes]:
    """Return everything of a request that is sent, with the headers in any order."""
    target = request.extensions.get("target") or request.url.raw_path
    return request.method, target, sorted((name.lower(), value) for name, value in request.headers.raw), request.read()


@given(ORIGINS, PLAIN_TARGETS | ANY_TARGETS, st.sampled_from([("GET", None), ("POST", b"{}"), ("POST", None)]))
@example("http://gateway.example", "/v1/../send?to=1", ("GET", None))
@example("http://gateway.example", "/send?text=100%", ("GET", None))
def test_a_request_is_the_one_that_httpx_makes(origin: str, target: str, call: tuple[str, bytes | None]) -> None:
    """Whatever the URL needs to have quoted, the bytes that are sent are those of `httpx.AsyncClient`."""
    own = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "otp-service"}
    client, headers, (method, content) = httpx.AsyncClient(headers=own), {"accept": "text/plain", "X-Own": "1"}, call
    expected = client.build_request(method, origin + target, headers=headers, content=content)
    assert on_the_wire(new_request(method, origin + target, headers, content)) == on_the_wire(expected)


def test_a_plain_url_is_not_parsed_and_not_kept() -> None:
    """The number and the code in a query are in the request's target only: the parsed URL, which is kept, has none."""
    request = new_request("GET", "http://gateway.example/send?to=6281210100055&text=123%20456", {}, None)
    assert request.extensions == {"target": b"/send?to=6281210100055&text=123%20456"}
    assert str(request.url) == "http://gateway.example"


async def test_no_cookie_is_kept() -> None:
    """A cookie that a gateway sets is not sent back: no request depends on another one."""
    async with Server(raw(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: 2\r\n\r\n{}")) as server:
        client = GatewayClient(2.0)
        for _ in range(2):
            await client.call("GET", server.url)
        await client.close()
    assert len(server.heads) == 2
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_a_compressed_body_is_read() -> None:
    """A body that a gateway compressed, although it was asked not to, is decompressed."""
    body = gzip.compress(b'{"status":0}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with Server(raw(head + body)) as server:
        client = GatewayClient(2.0)
        response = await client.call("GET", server.url)
        await client.close()
    assert isinstance(response, GatewayResponse)
    assert response.body == b'{"status":0}'
