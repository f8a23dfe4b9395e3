"""Requests to Vonage, byte for byte, and that secrets do not leak."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from structlog.typing import EventDict

from otp_service.domain.message import Balance, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import BalanceProvider, ReceiptProvider
from otp_service.providers.vonage.signing import signature
from otp_service.sandbox.simulators.http_server import Cut, Hang, Respond, SimulatorResponse
from otp_service.sandbox.simulators.vonage import VonageSimulator
from tests.providers.vonage_provider import (
    KEY,
    MESSAGE_ID,
    NOW,
    SECRET,
    SIGNATURE_SECRET,
    TEXT,
    outbound,
    vonage,
    vonage_config,
    vonage_gateway,
)

PRICE = Decimal("0.03330000")
SIGNED: dict[str, Any] = {"auth": "signature", "signature_secret": Secret(SIGNATURE_SECRET)}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def gateway() -> AsyncIterator[VonageSimulator]:
    """A simulated gateway with default options."""
    async with vonage_gateway() as running:
        yield running


async def test_form_byte_for_byte(gateway: VonageSimulator) -> None:
    """A message is a percent-encoded form, with the rest of the code's life in milliseconds and our id as reference."""
    async with vonage(gateway) as provider:
        result = await provider.send(outbound(receipt_url="https://otp.example.com/v1/receipts/vonage/v1.mac"))

    [message] = gateway.messages
    assert result == SendResult(
        Outcome.ACCEPTED, message.ids[0], charged=PRICE, charged_currency="EUR", parts=tuple(message.ids)
    )
    [request] = gateway.requests
    assert (request.method, request.target, request.headers["content-type"]) == ("POST", "/sms/json", FORM)
    assert "authorization" not in request.headers
    assert request.body == (
        b"api_key=abcd1234&from=Acme&to=6281210100055&text=Acme%3A%20kode%20123456%20%26%20100%25&type=text&ttl=300000"
        b"&client-ref=v1-ABC_7&status-report-req=true"
        b"&callback=https%3A%2F%2Fotp.example.com%2Fv1%2Freceipts%2Fvonage%2Fv1.mac&api_secret=s%25c%26ret%20%C3%BC"
    )


async def test_json_has_the_same_parameters(gateway: VonageSimulator) -> None:
    """With `body_format = "json"`, the parameters are the members of an object."""
    async with vonage(gateway, body_format="json", entity_id="E1", content_id="C1") as provider:
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED

    [request] = gateway.requests
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "api_key": KEY, "from": "Acme", "to": "6281210100055", "text": TEXT, "type": "text", "ttl": "300000",
        "client-ref": MESSAGE_ID, "entity-id": "E1", "content-id": "C1", "api_secret": SECRET,
    }  # fmt: skip


async def test_basic_authorization_replaces_both_parameters(gateway: VonageSimulator) -> None:
    """Key and secret are in the header only."""
    async with vonage(gateway, auth="basic") as provider:
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED

    [request] = gateway.requests
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() == f"{KEY}:{SECRET}"
    assert not {"api_key", "api_secret"} & dict(parse_qsl(request.body.decode())).keys()


@pytest.mark.parametrize("body", ["form", "json"])
@pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
async def test_signed_request_does_not_contain_the_secret(method: Any, body: str) -> None:
    """The signature covers every parameter and a timestamp; the text is sent unchanged."""
    async with (
        vonage_gateway(method=method) as gateway,
        vonage(gateway, **SIGNED, signature_method=method, body_format=body) as provider,
    ):
        assert (await provider.send(outbound("a&b=c ü"))).outcome is Outcome.ACCEPTED

    [request] = gateway.requests
    fields = dict(parse_qsl(request.body.decode())) if body == "form" else json.loads(request.body)
    assert (fields["timestamp"], fields["text"]) == (str(int(NOW)), "a&b=c ü")
    assert fields["sig"] == signature(fields, Secret(SIGNATURE_SECRET), method)
    assert not {"api_secret"} & fields.keys()
    for secret in (SECRET, SIGNATURE_SECRET):
        assert secret not in str(fields)


@pytest.mark.parametrize("off", [-301, 301])
async def test_a_signature_with_a_wrong_time_is_refused(off: int) -> None:
    """A clock that is more than five minutes off gets status 14, which opens the circuit."""
    async with vonage_gateway(clock=lambda: NOW + off) as gateway, vonage(gateway, **SIGNED) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.CONFIG_ERROR)
    assert gateway.messages == []


@pytest.mark.parametrize(
    ("expires_in", "minimum", "ttl_ms"),
    [(1, 20, 20_000), (20, 20, 20_000), (21, 20, 21_000), (600, 20, 600_000), (600, 1800, 1_800_000),
     (1, 604_800, 604_800_000), (700_000, 20, 604_800_000)],
)  # fmt: skip
async def test_ttl_stays_within_its_bounds(
    gateway: VonageSimulator, expires_in: int, minimum: int, ttl_ms: int
) -> None:
    """The gateway gives up when the code expires, or at the shortest or longest time that it accepts."""
    async with vonage(gateway, min_ttl_seconds=minimum) as provider:
        assert (await provider.send(outbound(expires_in=expires_in))).outcome is Outcome.ACCEPTED
    assert gateway.messages[0].ttl_ms == ttl_ms


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [("kode 123456", "text", 1), ("kode €{[1]}", "text", 1), ("kode 123456 ✓", "unicode", 1), ("code é", "text", 1),
     ("code ê", "unicode", 1), ("x" * 160, "text", 1), ("x" * 161, "text", 2), ("✓" * 71, "unicode", 2)],
)  # fmt: skip
async def test_type_follows_the_text(gateway: VonageSimulator, text: str, kind: str, parts: int) -> None:
    """A text with a character outside GSM 03.38 is sent as unicode; a long one is accepted in every part."""
    async with vonage(gateway) as provider:
        result = await provider.send(outbound(text))
    [message] = gateway.messages
    charged: dict[str, Any] = {"charged": PRICE * parts, "charged_currency": "EUR"}
    assert result == SendResult(Outcome.ACCEPTED, message.ids[0], **charged, parts=tuple(message.ids))
    assert (message.type, message.text, len(message.ids)) == (kind, text, parts)


@pytest.mark.parametrize(("sender", "sent"), [("+14155550100", "14155550100"), ("Acme Inc", "Acme Inc")])
async def test_a_number_as_sender_has_no_plus(gateway: VonageSimulator, sender: str, sent: str) -> None:
    """`from` is a name, or a number in digits."""
    async with vonage(gateway, sender=sender) as provider:
        await provider.send(outbound())
    assert gateway.messages[0].sender == sent


LONG_URL = "https://" + "a" * 40 + ".example.com/v1/receipts/vonage/" + "t" * 46


@pytest.mark.parametrize(
    ("account", "url", "callback"),
    [({}, LONG_URL[:100], LONG_URL[:100]), ({}, LONG_URL, ""), ({}, "", ""),
     (SIGNED, LONG_URL[:100], LONG_URL[:100]), (SIGNED, LONG_URL, LONG_URL.rpartition("/")[0]),
     (SIGNED | {"receipts": "token"}, LONG_URL, ""), (SIGNED, "https://" + "a" * 100 + "/t", "")],
)  # fmt: skip
async def test_a_callback_has_at_most_100_characters(
    gateway: VonageSimulator, log_events: list[EventDict], account: dict[str, Any], url: str, callback: str
) -> None:
    """A longer URL loses its token if receipts are signed; otherwise it is left out, with one warning."""
    async with vonage(gateway, **account) as provider:
        for _ in range(2):
            assert (await provider.send(outbound(receipt_url=url))).outcome is Outcome.ACCEPTED
    assert [message.callback for message in gateway.messages] == [callback] * 2
    warnings = [event["event"] for event in log_events if event["log_level"] == "warning"]
    assert warnings == (["receipt_url_too_long"] if url and not callback else [])


async def test_balance_is_in_euros(gateway: VonageSimulator) -> None:
    """The balance is queried with the secret in a header, and not in the URL."""
    async with vonage(gateway) as provider:
        assert isinstance(provider, BalanceProvider)
        assert await provider.fetch_balance() == Balance(Decimal("15.5"), "EUR")
    [request] = gateway.requests
    assert (request.method, request.target, request.body) == ("GET", "/account/get-balance", b"")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(200, '{"value":"3.14159265"}', Balance(Decimal("3.14159265"), "EUR")),
     (200, '{"value":-1,"autoReload":true}', Balance(Decimal(-1), "EUR")),
     (200, '{"value":true}', Outcome.AMBIGUOUS), (200, '{"value":"NaN"}', Outcome.AMBIGUOUS),
     (200, "{}", Outcome.AMBIGUOUS), (200, "<html>", Outcome.AMBIGUOUS), (401, "{}", Outcome.CONFIG_ERROR),
     (429, "", Outcome.THROTTLED), (500, '{"value":1}', Outcome.AMBIGUOUS)],
)  # fmt: skip
async def test_balance_responses(gateway: VonageSimulator, status: int, body: str, expected: object) -> None:
    """Anything but a number in a 2xx is a failure."""
    gateway.script(Respond(SimulatorResponse(body.encode(), status)))
    async with vonage(gateway) as provider:
        assert await provider.fetch_balance() == expected


async def test_wrong_credentials_are_refused(gateway: VonageSimulator) -> None:
    """An unknown key or secret has status 4, a wrong signature 14; the balance answers 401."""
    wrong: list[dict[str, Any]] = [
        {"api_key": "other123"}, {"api_secret": Secret("x")}, {"auth": "basic", "api_secret": Secret("x")},
        SIGNED | {"signature_secret": Secret("x")}, SIGNED | {"signature_method": "sha1"},
    ]  # fmt: skip
    for account in wrong:
        async with vonage(gateway, **account) as provider:
            assert await provider.send(outbound()) == SendResult(Outcome.CONFIG_ERROR)
    async with vonage(gateway, api_secret=Secret("x")) as provider:
        assert await provider.fetch_balance() is Outcome.CONFIG_ERROR
    assert gateway.messages == []


async def test_a_lost_response_is_ambiguous(gateway: VonageSimulator) -> None:
    """The gateway has no idempotency key, so the send is not repeated."""
    gateway.script(Cut())
    async with vonage(gateway) as provider:
        assert not provider.idempotent_send
        assert provider.reports_delivery
        assert isinstance(provider, ReceiptProvider)
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)
    assert (len(gateway.requests), len(gateway.messages)) == (1, 1)


VALID = "api_key=abcd1234&api_secret=x&from=A&to=6281210100055&text=t"
REFUSED_FORMS = {
    "api_key=abcd1234": "2",
    "api_key=abcd1234&api_secret=y": "4",
    VALID.replace("&text=t", ""): "2",
    VALID.replace("62812", "%2B62812"): "3",
    VALID + "&ttl=19999": "3",
    VALID + "&ttl=604800001": "3",
    VALID + "&callback=ftp%3A%2F%2Fx": "23",
    VALID + "&callback=https%3A%2F%2F" + "x" * 93: "23",
    VALID + "&client-ref=" + "x" * 41: "3",
    VALID + "&text2=".replace("text2", "sig") + "0" * 32: "32",
    VALID.replace("text=t", "text=" + "x" * 3201): "12",
}


@pytest.mark.parametrize(("form", "status"), REFUSED_FORMS.items())
async def test_simulator_refuses_with_the_gateways_status(form: str, status: str) -> None:
    """The simulator refuses an incomplete or wrong form in HTTP 200, with the status that the gateway documents."""
    async with VonageSimulator(KEY, "x") as gateway, httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(f"{gateway.url}/sms/json", content=form, headers={"Content-Type": FORM})
        assert (await client.post(f"{gateway.url}/sms/json", content=VALID, headers={"Content-Type": FORM})).json()[
            "messages"
        ][0]["status"] == "0"

    assert (response.status_code, response.json()["message-count"]) == (200, "1")
    assert response.json()["messages"][0]["status"] == status
    assert len(gateway.messages) == 1


@pytest.mark.parametrize(
    ("content", "media_type"),
    [("text=a b", FORM), ("text=a&text=b", FORM), (VALID + "&txt=1", FORM), ("text=%FF", FORM), ("{}", "text/plain"),
     ("[]", "application/json"), ("{", "application/json"), ('{"text":{}}', "application/json"),
     (VALID.replace("text=t", "text=%E2%9C%93"), FORM), (VALID + "&type=wappush", FORM)],
)  # fmt: skip
async def test_simulator_refuses_a_malformed_request(content: str, media_type: str) -> None:
    """An unknown or duplicate parameter, a malformed body or a text that its type cannot hold is a 400."""
    async with VonageSimulator(KEY, "x") as gateway, httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": media_type}
        response = await client.post(f"{gateway.url}/sms/json", content=content, headers=headers)

    assert (response.status_code, gateway.messages) == (400, [])
    assert response.text


@pytest.mark.parametrize("auth", ["parameters", "basic", "signature"])
async def test_secrets_do_not_appear_in_logs_or_reprs(
    auth: str, caplog: pytest.LogCaptureFixture, log_events: list[EventDict]
) -> None:
    """No log line, repr or result contains the secrets, the text, the code or the number."""
    caplog.set_level(logging.DEBUG)
    for library in ("httpx", "httpcore"):  # as `configure_logging` sets them
        logging.getLogger(library).setLevel(logging.WARNING)
    async with vonage_gateway() as gateway:
        page = Respond(SimulatorResponse(f"<html>{TEXT}".encode(), 500))
        gateway.script(None, page, Hang())
        account = {"auth": auth, "signature_secret": Secret(SIGNATURE_SECRET)}
        async with vonage(gateway, seconds=0.2, **account) as provider:
            results = [await provider.send(outbound()) for _ in range(3)]
            shown = f"{results} {provider!r} {vars(provider)} {vonage_config(**account)!r}"

    assert [result.outcome.value for result in results] == ["accepted", "ambiguous", "ambiguous"]
    for hidden in (SECRET, SIGNATURE_SECRET, TEXT, "123456", "6281210100055"):
        assert hidden not in caplog.text + str(log_events) + shown
