"""The rest of an `http` provider's request: authentication, the spelling of the number, methods and headers."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import parse
from tests.providers.http_gateways import MESSAGE, RecordingGateway, http_provider, reply

FORM = {"body": "to={to}&text={code}"}


async def send(keys: dict[str, Any], message: OutboundMessage = MESSAGE) -> Any:
    """Send a message with a table that has these keys; return the request that the gateway received."""
    async with RecordingGateway(reply({})) as gateway:
        table = {"type": "http", "url": "/send", "base_url": gateway.url, **FORM, **keys}
        async with http_provider({name: value for name, value in table.items() if value is not None}) as provider:
            assert await provider.send(message) == SendResult(Outcome.ACCEPTED)
    [request] = gateway.requests
    return request


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, None),
        ({"bearer_token": "t0ken"}, "Bearer t0ken"),
        ({"username": "Aladdin", "password": "open sesame"}, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ({"username": "test", "password": "123\u00a3"}, "Basic dGVzdDoxMjPCow=="),
        ({"headers": {"Authorization": "Key {k}"}, "secrets": {"k": "s"}}, "Key s"),
    ],
)
async def test_authentication(keys: dict[str, Any], expected: str | None) -> None:
    """Basic as in the examples of RFC 7617 (also in UTF-8), Bearer, or a header with a secret."""
    assert (await send(keys)).headers.get("authorization") == expected


@pytest.mark.parametrize(
    ("to_format", "e164", "expected"),
    [
        ("e164", "+6281210100055", "%2B6281210100055"),
        ("digits", "+6281210100055", "6281210100055"),
        ("national", "+6281210100055", "081210100055"),
        ("national_digits", "+6281210100055", "81210100055"),
        ("national", "+447400123456", "07400123456"),
        ("national", "+6591234567", "91234567"),
        ("national", "+393471234567", "3471234567"),
        ("national", "+12042345678", "2042345678"),
        ("national_digits", "+2250707123456", "0707123456"),
    ],
)
async def test_the_spelling_of_the_number(to_format: str, e164: str, expected: str) -> None:
    """+628..., 628..., 08... with the trunk prefix of the number's own country, or 8... without it."""
    number = parse(e164, "")
    message = OutboundMessage("m-1", e164, number.country, number.national_digits, "text", "739251", 300)
    assert (await send({"to_format": to_format}, message)).body.decode() == f"to={expected}&text=739251"


async def test_every_fact_of_a_message() -> None:
    """Each placeholder is replaced by its fact."""
    names = ("to", "text", "code", "message_id", "sender", "brand", "minutes", "expires_in", "country", "receipt_url")
    body = "\n".join(f"{{{name}}}" for name in (*names, "subject", "html"))
    request = await send({"body": body, "body_format": "text", "sender": "Acme"})
    facts = (
        MESSAGE.to,
        MESSAGE.text,
        MESSAGE.code,
        "m-1",
        "Acme",
        MESSAGE.brand,
        "5",
        "300",
        "ID",
        MESSAGE.receipt_url,
        "",
        "",
    )
    assert request.body.decode() == "\n".join(facts)


@pytest.mark.parametrize(
    ("keys", "content_type"),
    [
        ({}, "application/x-www-form-urlencoded"),
        ({"body": '{"a": "{to}{text}"}'}, "application/json"),
        ({"body": "<a b='{to}'>{text}</a>"}, "application/xml; charset=utf-8"),
        ({"body": "{to}{text}", "body_format": "text"}, "text/plain; charset=utf-8"),
        ({"headers": {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}},
         "application/x-www-form-urlencoded; charset=utf-8"),
        ({"body": '{"a": "{to}{text}"}', "headers": {"CONTENT-TYPE": "application/vnd.sms+json"}},
         "application/vnd.sms+json"),
        ({"body": None, "query": {"to": "{to}", "text": "{text}"}}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "put"])
async def test_content_type(keys: dict[str, Any], content_type: str | None, method: str) -> None:
    """The default follows from the format of the body, and the table may set another one."""
    request = await send({**keys, "method": method})
    assert (request.method, request.headers.get("content-type")) == (method.upper(), content_type)


async def test_the_content_type_decides_how_values_are_escaped() -> None:
    """A body that begins with a placeholder is a form if the header says so."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await send({"body": "{code}&to={to}", "headers": headers})).body == b"739251&to=%2B6281210100055"


async def test_the_line_ends_around_a_form_are_not_sent() -> None:
    """A form may be written between triple quotes."""
    assert (await send({"body": "\nto={to}&text={code}\n"})).body == b"to=%2B6281210100055&text=739251"


async def test_headers() -> None:
    """Configured headers replace those of the client, and contain facts of the message."""
    request = await send({"headers": {"Idempotency-Key": "{message_id}", "Accept": "text/plain", "X-A": "b"}})
    assert (request.headers["idempotency-key"], request.headers["accept"]) == ("m-1", "text/plain")
    assert request.headers["x-a"] == "b"
    assert request.headers["host"].startswith("127.0.0.1:")


async def test_one_gateway_that_deduplicates() -> None:
    """`idempotent_send` tells the dispatcher that an ambiguous send may be repeated."""
    table = {"type": "http", "url": "http://127.0.0.1:9/{message_id}", "body": "to={to}&t={text}"}
    for keys, expected in (({"idempotent_send": True}, True), ({}, False)):
        async with http_provider({**table, **keys}) as provider:
            assert provider.idempotent_send is expected


@pytest.mark.parametrize(
    ("body", "outcome"), [("to={to}&c={code}", Outcome.CONTENT_REJECTED), ("t={to}&c={text}", Outcome.ACCEPTED)]
)
async def test_a_text_that_must_be_read(body: str, outcome: Outcome) -> None:
    """A message that names a transaction is not sent by a table that leaves our text out."""
    async with RecordingGateway(reply({})) as gateway:
        table = {"type": "http", "url": "/send", "base_url": gateway.url, "body": body}
        async with http_provider(table) as provider:
            result = await provider.send(structs.replace(MESSAGE, needs_text=True))
    assert result.outcome is outcome
    assert len(gateway.requests) == (outcome is Outcome.ACCEPTED)
