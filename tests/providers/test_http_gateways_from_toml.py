"""Three gateways of different kinds work from a TOML table alone, and receive exactly the bytes that they document."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

import msgspec
import pytest
from structlog.typing import EventDict

from otp_service.domain.message import Balance, SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.providers.base import BalanceProvider, ReceiptProvider
from otp_service.sandbox.simulators.http_server import Cut, Down, Hang, Respond, SimulatorResponse
from otp_service.sandbox.simulators.infobip import InfobipSimulator, refusal
from tests.providers.http_gateways import (
    ENVIRON,
    INFOBIP_LIKE,
    KEDASMS_LIKE,
    MESSAGE,
    RECEIPT_URL,
    ZENZIVA_LIKE,
    KedasmsLike,
    ZenzivaLike,
    http_provider,
    http_table,
    reply,
)


async def test_kedasms_like() -> None:
    """JSON with the country and the national number, the key and the text escaped, and the message's receipt URL."""
    async with KedasmsLike() as gateway, http_provider(http_table(KEDASMS_LIKE, base_url=gateway.url)) as provider:
        assert await provider.send(MESSAGE) == SendResult(Outcome.ACCEPTED, "task-1")

    [request] = gateway.requests
    text = msgspec.json.encode(MESSAGE.text).decode()
    assert request.body.decode() == (
        f'{{"apiKey": "keda \\"key\\"", "countryCode": "ID", "phoneNumbers": ["81210100055"], "content": {text},\n'
        f' "senderId": "Acme", "trackClick": false, "callbackUrl": "{RECEIPT_URL}"}}'
    )
    assert gateway.messages[0]["content"] == MESSAGE.text
    assert not isinstance(provider, BalanceProvider)
    assert isinstance(provider, ReceiptProvider)
    assert provider.reports_delivery


async def test_zenziva_like() -> None:
    """A form with the number as 08..., every value percent-encoded; the balance has commas between thousands."""
    async with ZenzivaLike() as gateway, http_provider(http_table(ZENZIVA_LIKE, base_url=gateway.url)) as provider:
        assert await provider.send(MESSAGE) == SendResult(Outcome.ACCEPTED, "101")
        assert isinstance(provider, BalanceProvider)
        assert await provider.fetch_balance() == Balance(Decimal("1234567.50"))

    send, balance = gateway.requests
    credentials = "userkey=user%26key&passkey=pass%3Dkey%20100%25"
    text = quote(MESSAGE.text, safe="")
    assert send.body.decode() == f"{credentials}&to=081210100055&message={text}"
    assert send.headers["content-type"] == "application/x-www-form-urlencoded"
    assert gateway.messages == [("081210100055", MESSAGE.text)]
    assert (balance.method, balance.target) == ("GET", f"/api/balance/?{credentials}")
    assert not provider.reports_delivery


async def test_infobip_like() -> None:
    """JSON with digits and our id, the key in a header; the balance is queried with the same key."""
    gateway = InfobipSimulator("infobip-key")
    async with gateway, http_provider(http_table(INFOBIP_LIKE, base_url=gateway.url)) as provider:
        assert await provider.send(MESSAGE) == SendResult(Outcome.ACCEPTED, "m-1")
        assert isinstance(provider, BalanceProvider)
        assert await provider.fetch_balance() == Balance(Decimal("47.79"), "EUR")

    [message] = gateway.messages
    assert (message.to, message.text, message.sender) == ("6281210100055", MESSAGE.text, "Acme")
    send, balance = gateway.requests
    assert (send.method, send.target) == ("POST", "/sms/3/messages")
    assert send.headers["authorization"] == balance.headers["authorization"] == "App infobip-key"
    assert send.headers["content-type"] == "application/json"
    assert "content-type" not in balance.headers


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (12, SendResult(Outcome.FUNDS)),
        (6, SendResult(Outcome.DESTINATION_UNSUPPORTED)),
        (14, SendResult(Outcome.RECIPIENT_INVALID)),
        (24, SendResult(Outcome.RECIPIENT_BLOCKED)),
        (13, SendResult(Outcome.CONFIG_ERROR)),
        (99, SendResult(Outcome.CONTENT_REJECTED)),
    ],
)
async def test_rules_of_infobip(code: int, expected: SendResult) -> None:
    """Each rejection in HTTP 200 has the outcome of its rule; the last rule has what the others do not name."""
    async with InfobipSimulator("infobip-key") as gateway:
        gateway.script(refusal(code))
        async with http_provider(http_table(INFOBIP_LIKE, base_url=gateway.url)) as provider:
            assert await provider.send(MESSAGE) == expected


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"status": "0", "text": "Userkey / Passkey salah"}, Outcome.CONFIG_ERROR),
        ({"status": "0", "text": "Saldo tidak cukup"}, Outcome.FUNDS),
        ({"status": "0", "text": f"{MESSAGE.text} gagal"}, Outcome.TRANSIENT),
        ({"status": 1}, Outcome.ACCEPTED),
        ({"status": "2"}, Outcome.AMBIGUOUS),
        ({}, Outcome.AMBIGUOUS),
        ("1", Outcome.AMBIGUOUS),
    ],
)
async def test_http_200_is_not_acceptance(members: object, outcome: Outcome) -> None:
    """Zenziva answers 200 to everything: only its status decides, and what no rule describes is ambiguous."""
    async with ZenzivaLike() as gateway, http_provider(http_table(ZENZIVA_LIKE, base_url=gateway.url)) as provider:
        gateway.script(Respond(reply(members)))
        assert (await provider.send(MESSAGE)).outcome is outcome


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Hang(), SendResult(Outcome.AMBIGUOUS)),
        (Cut(processed=False), SendResult(Outcome.AMBIGUOUS)),
        (Down(5), SendResult(Outcome.TRANSIENT)),
        (Respond(SimulatorResponse(b"", 500)), SendResult(Outcome.AMBIGUOUS)),
        (Respond(SimulatorResponse(b"OK", 302, {"Location": "/"})), SendResult(Outcome.AMBIGUOUS)),
        (Respond(SimulatorResponse(b"<html><body>Login</body></html>")), SendResult(Outcome.AMBIGUOUS)),
        (Respond(SimulatorResponse(b"[" * 60_000)), SendResult(Outcome.AMBIGUOUS)),
        (Respond(SimulatorResponse(b'"' + b"a" * 200_000)), SendResult(Outcome.AMBIGUOUS)),
        (Respond(SimulatorResponse(b"", 401)), SendResult(Outcome.CONFIG_ERROR)),
        (Respond(SimulatorResponse(b"", 404)), SendResult(Outcome.CONFIG_ERROR, signal=HealthSignal.FAILURE)),
        (Respond(SimulatorResponse(b"", 429, {"Retry-After": "7"})), SendResult(Outcome.THROTTLED, retry_after=7.0)),
        (Respond(SimulatorResponse(b"", 503, {"Retry-After": "7"})), SendResult(Outcome.TRANSIENT, retry_after=7.0)),
        (Respond(SimulatorResponse(b"", 503)), SendResult(Outcome.AMBIGUOUS)),
    ],
)
async def test_what_no_rule_describes(step: object, expected: SendResult) -> None:
    """Only what HTTP itself defines is a refusal; anything else after the request was written is ambiguous."""
    table = http_table(KEDASMS_LIKE, timeout_seconds=0.5)
    async with KedasmsLike() as gateway, http_provider({**table, "base_url": gateway.url}) as provider:
        gateway.script(step)  # type: ignore[arg-type]  # the parameters of a test have no types
        assert await provider.send(MESSAGE) == expected
    assert len(gateway.requests) <= 1


async def test_nothing_secret_is_shown(log_events: list[EventDict]) -> None:
    """Neither the table nor the provider, nor the log of a failed call, shows a secret, the code or the number."""
    table = http_table(ZENZIVA_LIKE, timeout_seconds=0.5)
    async with ZenzivaLike() as gateway, http_provider({**table, "base_url": gateway.url}) as provider:
        gateway.script(Cut())
        await provider.send(MESSAGE)
        shown = f"{provider!r} {vars(provider)!r} {log_events}"
    assert [event["event"] for event in log_events] == ["gateway_call_failed"]
    for hidden in (*ENVIRON.values(), "user%26key", MESSAGE.code, "81210100055", "1210100055"):
        assert hidden not in shown
